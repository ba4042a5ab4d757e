//! Linker arguments of the program for the bare machine: its own memory layout, no C start-up code or library. Where it
//! lies is the caller's to say, by the symbol SHIM_BASE.

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (arch, os) = (variable("CARGO_CFG_TARGET_ARCH"), variable("CARGO_CFG_TARGET_OS"));
    let script = format!("{}/link/{arch}.ld", variable("CARGO_MANIFEST_DIR"));
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rerun-if-changed=build.rs");
    let base = std::env::var("SHIM_BASE").unwrap_or_else(|_| "0x200000".to_string());
    println!("cargo::rerun-if-env-changed=SHIM_BASE");
    let mut arguments = vec![format!("-T{script}")];
    if os == "none" {
        // The linker itself.
        arguments.push(format!("--defsym=SHIM_BASE={base}"));
        arguments.extend(["--build-id=none", "-zmax-page-size=4096"].map(String::from));
    } else {
        // A gcc, whose target has an operating system that isn't there.
        arguments.push(format!("-Wl,--defsym=SHIM_BASE={base}"));
        arguments.extend(["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(String::from));
        arguments.extend(["-Wl,--build-id=none", "-Wl,-z,max-page-size=4096"].map(String::from));
    }
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
