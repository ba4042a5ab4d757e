//! Digests of the libraries that write bytes, so that the keys of the steps which call them follow their code.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

fn main() {
    let libraries = [
        ("VTLFORGE_FDT_CODE", "../fdt"),
        ("VTLFORGE_IGVM_CODE", "../igvm"),
        ("VTLFORGE_IMAGE_CODE", "../image"),
    ];
    for (variable, folder) in libraries {
        let mut hasher = Sha256::new();
        hash(&Path::new(folder).join("src"), &mut hasher);
        // The lock file names the versions of fatfs, gpt, vm-fdt, zstd …, which write bytes too.
        hash(Path::new("../Cargo.lock"), &mut hasher);
        let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("cargo::rustc-env={variable}={digest}");
    }
}

fn hash(path: &Path, hasher: &mut Sha256) {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_dir() {
        let listing = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut entries: Vec<_> = listing.map(|entry| entry.expect("readable folder").path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| hash(entry, hasher));
    } else {
        let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(&text);
    }
}
