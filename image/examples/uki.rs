//! Makes a unified kernel image from files, to look at it with other tools.
//!
//! Usage: uki OUT x86_64|aarch64 STUB KERNEL INITRD CMDLINE [DTB]

use std::fs::{self, File};
use std::io::Read;

use image::Arch;
use image::uki::{self, KernelPart, Part, Uki};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, arch, stub, kernel, initrd, cmdline, dtb @ ..] = arguments.as_slice() else {
        return Err("usage: uki OUT x86_64|aarch64 STUB KERNEL INITRD CMDLINE [DTB]".into());
    };
    let part = |path: &String| -> std::io::Result<Part> {
        Ok(Part { source: path.clone(), length_bytes: fs::metadata(path)?.len() })
    };
    let mut head = Vec::new();
    File::open(kernel)?.take(image::kernel::HEAD_BYTES as u64).read_to_end(&mut head)?;
    let device_tree = dtb.first().map(fs::read).transpose()?;
    let layout = uki::layout(&Uki {
        arch: match arch.as_str() {
            "x86_64" => Arch::X86_64,
            "aarch64" => Arch::Aarch64,
            _ => return Err("unknown architecture".into()),
        },
        stub: &fs::read(stub)?,
        os_release: "ID=example\n",
        cmdline,
        uname: "1.0",
        device_tree: device_tree.as_deref(),
        kernel: KernelPart { head: &head, part: part(kernel)? },
        initrd: Some(part(initrd)?),
    })?;
    let mut out = File::create(out)?;
    out.set_len(layout.size_bytes())?;
    layout.write(|source| File::open(source), &mut out)?;
    Ok(())
}
