//! `boot PAIR`: one verdict for both parts of a pair.
//!
//! Where VTL2's payload can run a guest at VTL0, they are one machine. Where the kernel has no way to, or where disks are
//! booted, each boots at its own level, and the verdict says so.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Boot, boot_one};
use crate::{
    boot::lower::Vtl0,
    profile::{Arch, Pair, Project},
    report::Reporter,
    verbs::{Selection, session::specs},
};

/// Why the parts are not one machine.
const NO_DRIVER: &str =
    "Linux has no driver for the levels below VTL2 on 64-bit Arm (CONFIG_MSHV_VTL depends on X86_64)";
const DISKS: &str = "a disk brings a machine of its own";

pub fn boot(arguments: &Boot, project: &Project, pair: &Pair, reporter: &Arc<Reporter>) -> Result<bool> {
    ensure!(
        arguments.vtl.is_none()
            && arguments.vtl0.is_none()
            && arguments.gdb.is_none()
            && arguments.append.is_none()
            && arguments.without.is_empty()
            && !(arguments.interactive
                || arguments.self_test
                || arguments.shutdown
                || arguments.as_normal_guest),
        "{} is a pair, and is booted as it is: --vtl, --vtl0, --append, --without, --interactive, --gdb, --self-test and \
         --shutdown are for one profile\n  hint: name {} or {}",
        pair.name,
        pair.parts.vtl2,
        pair.parts.vtl0
    );
    let arch = specs(project, &Selection { profiles: vec![pair.name.clone()], all: false })?[0].arch;
    let logs = match &arguments.logs {
        Some(logs) => logs.clone(),
        None => project.root.join("out/boot").join(&pair.name),
    };
    let apart = match arch {
        _ if arguments.disk => Some(DISKS),
        Arch::X86_64 => None,
        Arch::Aarch64 => Some(NO_DRIVER),
    };
    let verdicts = match apart {
        None => {
            let below = Some(Vtl0::Profile(pair.parts.vtl0.clone()));
            let both = Boot { vtl0: below, ..part(arguments, &pair.parts.vtl2, logs) };
            [boot_one(&both, project.clone(), reporter.clone())?; 2]
        }
        Some(_) => {
            let one = |name: &str| {
                boot_one(&part(arguments, name, logs.join(name)), project.clone(), reporter.clone())
            };
            [one(&pair.parts.vtl2)?, one(&pair.parts.vtl0)?]
        }
    };
    tell(arguments, pair, arch, verdicts, apart);
    Ok(verdicts == [true; 2])
}

fn part(arguments: &Boot, name: &str, logs: PathBuf) -> Boot {
    Boot { profile: Some(name.to_string()), logs: Some(logs), ..arguments.clone() }
}

fn tell(arguments: &Boot, pair: &Pair, arch: Arch, verdicts: [bool; 2], apart: Option<&str>) {
    let [upper, lower] = pair.parts();
    let ok = verdicts == [true; 2];
    if arguments.json {
        let part = |name: &str, vtl: u8, ok: bool| json!({"profile": name, "vtl": vtl, "ok": ok});
        let line = json!({
            "event": "pair-finished",
            "pair": pair.name,
            "arch": arch,
            "ok": ok,
            "together": apart.is_none(),
            "why_apart": apart,
            "parts": [part(upper, 2, verdicts[0]), part(lower, 0, verdicts[1])],
        });
        println!("{line}");
        return;
    }
    let word = if ok { "boots" } else { "FAILS" };
    match apart {
        None => println!("{}: {word} ({lower} at VTL 0, below {upper} at VTL 2)", pair.name),
        Some(why) => {
            println!("{}: {word} ({upper} at VTL 2, {lower} at VTL 0, each by itself: {why})", pair.name);
        }
    }
}
