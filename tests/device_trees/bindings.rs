//! The kernel's own bindings, by dt-schema: trees of the mainline dialect pass without a word, those of the others
//! can't, which shows that the judge looks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use fdt::{
    Range,
    machine::{
        Chosen, Dialect, EnableMethod, MAINLINE, Machine, OPENHCL, Platform, PsciConduit, Reserved, Serial,
        hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_microvm_x86_64, qemu_virt_aarch64,
        qemu_virt_el2_aarch64,
    },
};

use crate::{
    harness::{
        self, PROFILES, built, folder,
        judges::{Judges, cached, short},
        xtask,
    },
    on_two_numa_nodes, write_dtb,
};

const GIB: u64 = 1 << 30;

/// Machines that no binding names: that a root node is one of them says who made the machine, and nothing else.
const WITHOUT_BINDING: [&str; 2] = ["microsoft,hyperv", "qemu,microvm"];

#[test]
fn trees_satisfy_the_kernel_s_bindings() {
    let judge = Judge::ready();
    let folder = folder("bindings");
    for (index, machine) in machines().into_iter().enumerate() {
        let tree = machine.tree(&MAINLINE);
        let blob = write_dtb(&folder, &tree);
        judge.is_content(&blob, &format!("machine {index}, {}", machine.model));
        let mut numa = machine;
        on_two_numa_nodes(&mut numa);
        judge.is_content(&write_dtb(&folder, &numa.tree(&MAINLINE)), &format!("machine {index} with NUMA"));
    }
    for profile in PROFILES.into_iter().filter(|profile| *profile != "x86_64-vtl0") {
        judge.is_content(&built(profile).join("platform.dtb"), profile);
    }
    // A judge that is content with everything would be none.
    let said = |dialect: &Dialect| {
        let tree = hyperv_vtl2_x86_64(2, vec![Range::new(0, GIB)]).tree(dialect);
        judge.says(&write_dtb(&folder, &tree))
    };
    assert!(said(&OPENHCL).contains("#size-cells: 1 was expected"), "{}", said(&OPENHCL));
}

/// The ready machines, and each thing that a profile may change of them.
fn machines() -> Vec<Machine> {
    let chosen =
        || Chosen { bootargs: Some("quiet".to_owned()), initrd: Some(Range::new(GIB + (GIB >> 1), 0x1234)) };
    let (low, high) = (|| vec![Range::new(0, GIB)], || vec![Range::new(GIB, GIB)]);
    let mut machines = vec![
        hyperv_vtl2_x86_64(4, low()),
        hyperv_vtl2_aarch64(4, low(), Chosen::default()),
        qemu_virt_aarch64(4, high(), PsciConduit::Hvc, chosen()),
        qemu_virt_el2_aarch64(4, high(), chosen()),
        qemu_microvm_x86_64(4, low()),
    ];
    let mut tdx = machines[0].clone();
    let Platform::X86_64(platform) = &mut tdx.platform else { unreachable!() };
    platform.wakeup_mailbox = Some(0xf_f000);
    tdx.vmbus[0].mmio.push(Range::new(0xe000_0000, 0x1000_0000));
    let mut spinning = machines[2].clone();
    spinning.serial =
        Some(Serial::Ns16550 { base: 0x900_0000, spi: 1, clock_hz: 1_843_200, register_shift: 2 });
    let Platform::Aarch64(platform) = &mut spinning.platform else { unreachable!() };
    platform.enable_method = EnableMethod::SpinTable { release_address: GIB };
    platform.psci = None;
    platform.pmu_ppi = None;
    platform.gic.its.clear();
    platform.gic.redistributors.push(Range::new(0x40_0000_0000, 0x400_0000));
    spinning.reserved.push(Reserved {
        name: "log".to_owned(),
        range: Range::new(GIB + 0x1000, 0x1000),
        compatible: None,
        no_map: true,
        comment: None,
    });
    machines.extend([tdx, spinning]);
    machines
}

/// dt-validate with the bindings of the kernel that the profiles build, processed.
struct Judge {
    judges: Judges,
    schema: PathBuf,
}

impl Judge {
    /// Installs and processes what is not in the store yet: two minutes, once.
    fn ready() -> Judge {
        let judges = Judges::install("dt-schema", "tests/device_trees/dt-schema.txt");
        let kernel = kernel();
        let bindings =
            harness::store().join(format!("v1/steps/{kernel}/out/tree/Documentation/devicetree/bindings"));
        let place = judges.folder.with_file_name(format!("{}-{}", judges.name, short(&kernel)));
        let schema = cached(&place, |folder| {
            let mut process = judges.program("dt-mk-schema");
            process.arg("-j").arg("-o").arg(folder.join("schema.json")).arg(&bindings);
            harness::run(&mut process).expect("dt-mk-schema");
        });
        Judge { judges, schema: schema.join("schema.json") }
    }

    /// All that it says. Its exit status is success whatever it finds.
    fn says(&self, blob: &Path) -> String {
        let mut validate = self.judges.program("dt-validate");
        validate.arg("-m").arg("-s").arg(&self.schema).arg(blob);
        let said = harness::run(&mut validate);
        assert_eq!(said.status, 0, "{}", said.stderr);
        let all = said.stdout + &said.stderr;
        let is_known = |line: &str| {
            line.contains(": /: failed to match any schema with compatible:")
                && WITHOUT_BINDING.iter().any(|name| line.ends_with(&format!("['{name}']")))
        };
        all.lines().filter(|line| !is_known(line)).map(|line| format!("{line}\n")).collect()
    }

    fn is_content(&self, blob: &Path, what: &str) {
        let said = self.says(blob);
        assert!(said.is_empty(), "{what}:\n{said}");
    }
}

/// The key of the kernel's source in the user's store.
fn kernel() -> String {
    built("aarch64-vtl2");
    let said = harness::run(xtask().args(["plan", "aarch64-vtl2", "--format", "json"])).expect("plan");
    let plan: serde_json::Value = serde_json::from_str(&said).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let keys: BTreeSet<&str> = steps
        .iter()
        .filter(|step| step["name"].as_str().is_some_and(|name| name.starts_with("unpack linux")))
        .filter_map(|step| step["key"].as_str())
        .collect();
    let key = keys.first().unwrap_or_else(|| panic!("no source in {said}"));
    (*key).to_owned()
}
