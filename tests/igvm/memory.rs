//! What the build reckons of memory, before kernels that have just so much.

use super::*;

/// The smallest memory that boots is the peak of what is used until the payload runs: it boots with a tenth more than
/// the build says, and doesn't with a tenth less.
#[test]
fn boots_confirm_the_reckoning() {
    for (profile, keys) in [("x86_64-vtl2", ""), ("aarch64-vtl2", "kernel:\n  command-line: [mem=64M]\n")] {
        let project = Project::of(profile, "vtlforge-igvm-memory", keys);
        if profile == "x86_64-vtl2" {
            project.edit("    - noxsave\n", "    - noxsave\n    - mem=64M\n");
        }
        project.build().expect(profile);
        let map = fs::read(project.out().join("vtl2.map.json")).unwrap();
        let map: serde_json::Value = serde_json::from_slice(&map).unwrap();
        let mib = map["memory"]["boots-bytes"].as_u64().unwrap() / (1 << 20);
        let sum: u64 =
            map["memory"]["uses"].as_array().unwrap().iter().map(|own| own["bytes"].as_u64().unwrap()).sum();
        assert!(sum < map["memory"]["memory-bytes"].as_u64().unwrap());

        let mut before = 64;
        for (now, boots) in [((mib * 11).div_ceil(10), true), (mib * 9 / 10, false)] {
            project.edit(&format!("mem={before}M"), &format!("mem={now}M"));
            before = now;
            project.build().expect(profile);
            let said = run(xtask().current_dir(&project.root).args(["boot", "--igvm", "out/mine/vtl2.igvm"]));
            assert_eq!(said.status == 0, boots, "{profile} with {now} MiB, reckoned {mib}\n{}", said.stdout);
        }
    }
}
