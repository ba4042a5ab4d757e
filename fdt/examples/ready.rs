//! Writes the ready machines as ready-*.dtb and .dts into the directory given, for a look or for another judge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "an example writes files")]

use fdt::Range;
use fdt::machine::{
    Chosen, MAINLINE, PsciConduit, hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_virt_aarch64,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: ready DIRECTORY")?;
    let memory = |base| vec![Range::new(base, 0x2000_0000)];
    let chosen = Chosen {
        bootargs: Some("console=ttyAMA0".to_owned()),
        initrd: Some(Range::new(0x4800_0000, 0x10_0000)),
    };
    let machines = [
        ("x86_64-vtl2", hyperv_vtl2_x86_64(2, memory(0))),
        ("aarch64-vtl2", hyperv_vtl2_aarch64(2, memory(0), chosen.clone())),
        ("aarch64-qemu-virt", qemu_virt_aarch64(2, memory(0x4000_0000), PsciConduit::Hvc, chosen)),
    ];
    for (name, machine) in machines {
        let tree = machine.tree(&MAINLINE);
        std::fs::write(format!("{directory}/ready-{name}.dtb"), fdt::to_dtb(&tree)?)?;
        std::fs::write(format!("{directory}/ready-{name}.dts"), fdt::to_dts(&tree))?;
    }
    Ok(())
}
