//! Which tools each action runs, and so which of them its key follows.

use super::{Action, RustFrom};
use crate::{
    host::{
        cross_prefix,
        identity::{Subject, kernel_subjects, payload_subjects},
    },
    profile::types::Arch,
};

/// Of this machine, where there is no root for the builder, which is an input by digest.
///
/// Downloads and what is unpacked from them are known by content: the programs that bring them don't matter.
pub fn tools_of(action: &Action, host: Arch) -> Vec<Subject> {
    match action {
        Action::ResolveKconfig { arch, .. } | Action::BuildKernel { arch } => kernel_subjects(host, *arch),
        Action::BuildPayload { arch, rust, .. } => {
            let own_compiler = match rust {
                RustFrom::Toolchain { target } => Some(target.as_str()),
                // That one is an input, by digest.
                RustFrom::Debian { .. } | RustFrom::Builder { .. } => None,
            };
            let mut subjects = payload_subjects(host, *arch, own_compiler);
            subjects.push(Subject::Program(format!("{}objcopy", cross_prefix(host, *arch))));
            subjects
        }
        Action::BuildMonitor { arch, rust }
        | Action::BuildShim { arch, rust, .. }
        | Action::BuildLoader { arch, rust } => {
            let mut subjects = vec![Subject::Cargo];
            match rust {
                RustFrom::Toolchain { target } => subjects.push(Subject::Rust { target: target.clone() }),
                // That one is an input, by digest.
                RustFrom::Debian { .. } | RustFrom::Builder { .. } => {}
            }
            // It drives the linker; nothing of a C library gets in.
            subjects.push(Subject::Compiler(format!("{}gcc", cross_prefix(host, *arch))));
            subjects.push(Subject::Program(format!("{}objcopy", cross_prefix(host, *arch))));
            subjects
        }
        // The program that writes it is known by its source.
        Action::PackIgvm { .. } => Vec::new(),
        Action::FetchDeb(_)
        | Action::FetchUrl { .. }
        | Action::FetchGit { .. }
        | Action::ExtractMember { .. }
        | Action::UnpackSource { .. }
        | Action::UnpackDebs
        | Action::UnpackRoot { .. }
        | Action::VendorCrates { .. }
        | Action::EmitDtb { .. }
        | Action::PackInitramfs { .. }
        | Action::BuildUki { .. }
        | Action::PackDisk { .. }
        | Action::PackVhd { .. }
        | Action::PackVhdx { .. }
        | Action::PackQcow2 { .. } => Vec::new(),
    }
}
