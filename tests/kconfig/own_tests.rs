//! The kernel's own tests of conf (scripts/kconfig/tests), with the example of the kconfig crate in conf's place.

use std::{fs, path::PathBuf, process::Command};

use super::{
    harness::{self, run},
    kernels::{self, Kernel},
};

#[test]
fn the_kernels_own_tests_pass() {
    let conf = example();
    let kernels = kernels::all().iter().filter(|kernel| kernel.arch == "x86_64");
    for kernel in kernels {
        let folder = harness::folder(&format!("kconfig-own-tests-{}", kernel.version));
        // A copy: Python keeps compiled files beside its sources.
        let tests = folder.join("tests");
        harness::copy_tree(&kernel.tree.join("scripts/kconfig/tests"), &tests);
        fs::create_dir_all(folder.join("scripts/kconfig")).unwrap();
        fs::copy(&conf, folder.join("scripts/kconfig/conf")).unwrap();
        let mut pytest = Command::new("pytest");
        pytest.current_dir(&folder).env("KERNELVERSION", &kernel.judge.environment["KERNELVERSION"]);
        let said = run(pytest.args(["-p", "no:cacheprovider", "--color=no"]).arg(&tests));
        let wanted = format!("{} passed in", count(kernel));
        assert!(said.status == 0 && said.stdout.contains(&wanted), "{}: {}", kernel.name, said.stdout);
        eprintln!("{}: {} of the kernel's own tests", kernel.name, count(kernel));
    }
}

/// Test functions in the kernel's tree.
fn count(kernel: &Kernel) -> usize {
    let tests = walkdir::WalkDir::new(kernel.tree.join("scripts/kconfig/tests")).into_iter();
    let files = tests.map(|entry| entry.unwrap()).filter(|entry| entry.file_name() == "__init__.py");
    let count = |text: String| text.lines().filter(|line| line.starts_with("def test")).count();
    files.map(|file| count(fs::read_to_string(file.path()).unwrap())).sum()
}

/// kconfig/examples/conf, built beside the program that is tested.
fn example() -> PathBuf {
    let profile = PathBuf::from(env!("CARGO_BIN_EXE_xtask")).parent().expect("a folder").to_path_buf();
    let target = profile.parent().expect("the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(harness::project());
    cargo
        .args(["build", "--quiet", "--locked", "--package", "kconfig", "--example", "conf", "--target-dir"])
        .arg(target);
    run(&mut cargo).expect("cargo build --example conf");
    target.join("debug/examples/conf")
}
