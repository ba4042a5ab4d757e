//! Linker arguments of the programs for the bare machine: their own memory layout, no C start-up code or library.

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (arch, os) = (variable("CARGO_CFG_TARGET_ARCH"), variable("CARGO_CFG_TARGET_OS"));
    println!("cargo::rerun-if-changed=link");
    println!("cargo::rerun-if-changed=build.rs");
    // The monitor has its address; the loader is put anywhere.
    for (program, script, linker, driver) in [
        ("monitor", arch.as_str(), &["--no-pie"][..], &["-static", "-no-pie"][..]),
        ("loader", "loader", &["-pie", "--no-dynamic-linker"], &["-pie", "-Wl,-pie,--no-dynamic-linker"]),
    ] {
        let script = format!("-T{}/link/{script}.ld", variable("CARGO_MANIFEST_DIR"));
        let more: Vec<&str> = match os.as_str() {
            // The linker itself.
            "none" => ["--build-id=none", "-zmax-page-size=4096"].iter().chain(linker).copied().collect(),
            // A gcc, whose target has an operating system that isn't there.
            _ => ["-nostartfiles", "-nostdlib", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096"]
                .iter()
                .chain(driver)
                .copied()
                .collect(),
        };
        for argument in std::iter::once(script.as_str()).chain(more) {
            println!("cargo::rustc-link-arg-bin={program}={argument}");
        }
    }
}
