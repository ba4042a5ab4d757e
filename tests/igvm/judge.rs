//! Each file read by hand, and each digest by another calculator (`judge.py`).

use super::*;

/// The system's Python.
const PYTHON: &str = "/usr/bin/python3";

#[test]
fn digests_agree_with_other_calculators() {
    let project = Project::new("vtlforge-igvm-judge", ALL);
    project.build().expect("a file for all platforms");
    let mut files = vec![project.out().join("vtl2.igvm")];
    files.extend(["x86_64-vtl2", "aarch64-vtl2"].map(|profile| harness::built(profile).join("vtl2.igvm")));
    let judge = Judge::ready();
    for file in &files {
        let judged = judge.says(file);
        let ours: serde_json::Value =
            serde_json::from_slice(&fs::read(file.with_file_name("measurements.json")).unwrap()).unwrap();
        let ours = ours.as_array().unwrap();
        let judged_platforms = judged.as_object().unwrap();
        let measured = judged_platforms.values().filter(|platform| !platform["digest"].is_null());
        assert_eq!(measured.count(), ours.len(), "{judged}");
        for measurement in ours {
            let platform = measurement["platform"].as_str().unwrap();
            assert_eq!(measurement["digest"], judged[platform]["digest"], "{platform} of {}", file.display());
        }
        // The file tells the same as the build that made it.
        let said = igvm(&["measure", text(file), "--format", "json"]).expect("measure");
        let again: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(again.as_array().unwrap(), ours);
    }

    let all = judge.says(&files[0]);
    assert_eq!(all.as_object().unwrap().len(), 4, "{all}");
    assert_eq!(all["sev-snp"]["policy"], serde_json::json!([0x3001f]));
    assert_eq!(all["tdx"]["policy"], serde_json::json!([2]));
    assert_eq!(all["sev-snp"]["shared-gpa-boundary"], 1_u64 << 46);
    assert_eq!(all["tdx"]["shared-gpa-boundary"], 1_u64 << 47);
    assert_eq!(all["tdx"]["contexts"], 0);
    for platform in ["vsm-isolation", "native", "sev-snp"] {
        assert_eq!(all[platform]["contexts"], 1, "{platform}");
    }
    // VTL2's memory is protected from lower levels where there are levels.
    assert_eq!(all["vsm-isolation"]["required"], serde_json::json!([[0, 512 << 20, 1]]));
    assert_eq!(all["native"]["required"], serde_json::json!([[0, 512 << 20, 0]]));

    // A judge that is content with everything would be none.
    let mut bytes = fs::read(&files[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let changed = folder("igvm-changed").join("vtl2.igvm");
    fs::write(&changed, bytes).unwrap();
    assert_ne!(judge.says(&changed)["sev-snp"]["digest"], all["sev-snp"]["digest"]);
}

/// Python with the calculator of the package sev-snp-measure.
struct Judge {
    python: PathBuf,
}

impl Judge {
    /// Installs what is not in the store yet.
    fn ready() -> Judge {
        let requirements = harness::project().join("tests/igvm/sev-snp-measure.txt");
        let said = harness::judge("sha256sum", &[text(&requirements)]);
        let place = harness::store().join("judges").join(format!("sev-snp-measure-{}", &said[..16]));
        if !place.exists() {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            let making = place.with_extension(format!("making-{}", std::process::id()));
            let mut pip = Command::new(PYTHON);
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]);
            pip.args(["--only-binary=:all:", "--disable-pip-version-check", "--root-user-action=ignore"]);
            pip.arg("--target").arg(&making).arg("--requirement").arg(&requirements);
            run(&mut pip).expect("pip brings sev-snp-measure, for which it needs the network once");
            // Another run may have been faster.
            if fs::rename(&making, &place).is_err() {
                assert!(place.exists(), "{}", place.display());
                let _ = fs::remove_dir_all(&making);
            }
        }
        Judge { python: place }
    }

    fn says(&self, file: &Path) -> serde_json::Value {
        let script = harness::project().join("tests/igvm/judge.py");
        let mut python = Command::new(PYTHON);
        python.env("PYTHONPATH", &self.python).env("PYTHONDONTWRITEBYTECODE", "1").arg(script).arg(file);
        serde_json::from_str(&run(&mut python).expect("judge.py")).unwrap()
    }
}

/// What openssl says of the signature, over bytes that another program put together.
#[test]
fn id_blocks_are_signed_as_openssl_verifies() {
    let project = Project::new("vtlforge-igvm-sign", "igvm:\n  platforms: [vsm-isolation, sev-snp]\n");
    project.build().expect("a file for SEV-SNP");
    let folder = folder("igvm-sign");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (key, public, signed) = (at("key.pem"), at("public.pem"), at("signed.igvm"));
    harness::judge(
        "openssl",
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", &key],
    );
    harness::judge("openssl", &["pkey", "-in", &key, "-pubout", "-out", &public]);
    let file = project.out().join("vtl2.igvm");
    let sign = |out: &str| {
        igvm(&["igvm", "sign", text(&file), "--key", &key, "--out", out, "--guest-svn", "7"]).expect("sign");
    };
    sign(&signed);
    let script = harness::project().join("tests/igvm/id_block.py");
    let (block, signature) = (at("block"), at("signature"));
    let said = harness::judge(PYTHON, &[text(&script), &signed, &block, &signature]);
    harness::judge("openssl", &["dgst", "-sha384", "-verify", &public, "-signature", &signature, &block]);
    let der = harness::judge("openssl", &["pkey", "-in", &key, "-pubout", "-text", "-noout"]);
    let hex: String = der.chars().filter(char::is_ascii_hexdigit).collect();
    let (point, digest) = said.trim().split_once(' ').unwrap();
    assert!(hex.contains(point), "{point} in {der}");
    // The digest is the one that is measured, before and after.
    for path in [text(&file), &signed] {
        assert!(igvm(&["measure", path]).expect("measure").contains(digest));
    }
    // No random number is in it.
    let again = at("again.igvm");
    sign(&again);
    assert!(fs::read(&signed).unwrap() == fs::read(&again).unwrap());
    let twice = igvm(&["igvm", "sign", &signed, "--key", &key, "--out", &again]);
    assert!(twice.stderr.contains("the file has an ID block already"), "{}", twice.stderr);
    let arm = harness::built("aarch64-vtl2").join("vtl2.igvm");
    let none = igvm(&["igvm", "sign", text(&arm), "--key", &key, "--out", &again]);
    assert!(none.stderr.contains("no SEV-SNP platform"), "{}", none.stderr);
}
