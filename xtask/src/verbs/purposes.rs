//! What a machine has to be able to do for the profiles and tests at hand.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use anyhow::{Context as _, Result};

use super::{Selection, doctor, session};
use crate::{
    host::{
        Host,
        memo::{Memo, Trust},
        rust_target,
        tools::Purpose,
    },
    profile::{
        Arch, Project, Spec,
        types::{CargoSource, KernelSource},
    },
    report::Reporter,
};

/// With which tools is built.
pub enum Wanted {
    /// With those of this machine; for these architectures, the payload is linked with glibc.
    OfMachine { static_glibc: Vec<Arch> },
    /// With those of the builder's root.
    Root,
}

/// What building these profiles needs.
///
/// A hermetic build brings its own tools, whatever this machine has.
pub fn of_profiles(specs: &[Spec], tools: &Wanted) -> Vec<Purpose> {
    let mut purposes = Vec::new();
    for spec in specs {
        match tools {
            Wanted::Root => purposes.push(Purpose::Hermetic),
            Wanted::OfMachine { static_glibc } => {
                purposes.extend([Purpose::Kernel(spec.arch), Purpose::Payload(spec.arch)]);
                if static_glibc.contains(&spec.arch) {
                    purposes.push(Purpose::StaticGlibc(spec.arch));
                }
            }
        }
        let has_git_recipe = spec.payload.recipes.iter().any(|(_, recipe)| {
            matches!(recipe.cargo.as_ref().and_then(|cargo| cargo.source.as_ref()), Some(CargoSource::Git(_)))
        });
        let is_patched = !spec.kernel.patches.is_empty();
        if matches!(spec.kernel.source, KernelSource::Git(_)) || has_git_recipe || is_patched {
            purposes.push(Purpose::GitSource);
        }
    }
    purposes.sort();
    purposes.dedup();
    purposes
}

/// What the test suite needs beside building every profile.
pub fn of_tests() -> Vec<Purpose> {
    vec![
        Purpose::Boot(Arch::X86_64),
        Purpose::Boot(Arch::Aarch64),
        Purpose::GitSource,
        Purpose::Signatures,
        Purpose::Hermetic,
        Purpose::Tests,
        Purpose::Bench,
    ]
}

/// Installs what is missing, where that was asked for.
pub fn ensure(
    selection: &Selection,
    with_tests: bool,
    install: bool,
    hermetic: bool,
    store: PathBuf,
    reporter: &Reporter,
) -> Result<()> {
    if !install {
        return Ok(());
    }
    let project = Project::find()?;
    let specs = session::specs(&project, selection)?;
    let host = Host::current(&project.root)?;
    let cancel = AtomicBool::new(false);
    let log = store.join("logs/install.log");
    let mut say = |line: &str| reporter.note(line);
    let mut memo = Memo::load(&store.join("v1/memo/tools"), Trust::TimeStamps);
    let mut purposes = Vec::new();
    let foreign = specs.iter().any(|spec| spec.arch == Arch::Aarch64) && host.arch != Arch::Aarch64;
    if foreign && !hermetic {
        make_folder(&store.join("logs"))?;
        let toolchain = rust_target::toolchain(&host, &mut memo)?;
        rust_target::decide_installing(&host, &mut memo, &toolchain, &log, &cancel)?;
        // It makes its folder; that it isn't saved only costs time.
        let _ = memo.save();
    }
    let tools = match hermetic {
        true => Wanted::Root,
        false => Wanted::OfMachine { static_glibc: static_glibc(&host, &mut memo)? },
    };
    purposes.extend(of_profiles(&specs, &tools));
    if with_tests {
        purposes.extend(of_tests());
    }
    doctor::install_missing(&host, &purposes, &log, &cancel, &mut say)
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| {
        format!("can't make {}\n  hint: choose another place with --store DIR", path.display())
    })
}

/// Architectures whose payload is linked with glibc, so that its static library has to be there.
pub fn static_glibc(host: &Host, memo: &mut Memo) -> Result<Vec<Arch>> {
    let mut archs = vec![host.arch];
    let toolchain = rust_target::toolchain(host, memo)?;
    // The musl targets bring their own C library.
    if host.arch != Arch::Aarch64 && !rust_target::decide(&toolchain).target().ends_with("-musl") {
        archs.push(Arch::Aarch64);
    }
    Ok(archs)
}
