//! Trees to look at: a profile's, made now, or a file's.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use fdt::{Tree, machine::Dialect, vtl::Arch};

use crate::{
    profile::{self, Project, device_tree},
    verbs::session,
};

/// Nobody has a larger tree: kernels take 2 MiB.
const FILE_MAX_BYTES: u64 = 64 << 20;

/// A tree, with what is known of the kernel that it is for.
pub struct Input {
    pub tree: Tree,
    pub dialect: &'static Dialect,
    /// None where only the tree can tell.
    pub arch: Option<Arch>,
    pub vtl: Option<u8>,
}

/// The tree of a profile, or of a file by the end of its name.
pub fn read(project: &Project, operand: &str, dialect: Option<&'static Dialect>) -> Result<Input> {
    let path = Path::new(operand);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let tree = match extension {
        Some("dtb") => blob(&file(path)?).with_context(|| format!("can't read {operand}"))?,
        Some("dts") => compiled(path)?,
        _ => return of_profile(project, operand, dialect),
    };
    Ok(Input { tree, dialect: dialect.unwrap_or(&fdt::machine::MAINLINE), arch: None, vtl: None })
}

fn of_profile(project: &Project, name: &str, dialect: Option<&'static Dialect>) -> Result<Input> {
    session::refuse_pair(project, name)?;
    let selection = session::Selection { profiles: vec![name.to_owned()], all: false };
    let specs = session::specs(project, &selection)?;
    let spec = &specs[0];
    let Some(described) = &spec.device_tree else {
        bail!("the profile {name} has no device tree: its machine describes itself by ACPI tables");
    };
    let machine = device_tree::describe(spec.arch, spec.vtl, described, &spec.kernel.command_line);
    let dialect = dialect.unwrap_or(described.dialect.data());
    let arch = match spec.arch {
        profile::Arch::X86_64 => Arch::X86_64,
        profile::Arch::Aarch64 => Arch::Aarch64,
    };
    Ok(Input { tree: machine.tree(dialect), dialect, arch: Some(arch), vtl: Some(spec.vtl.number()) })
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
    ensure!(size <= FILE_MAX_BYTES, "{} has {size} bytes, and no kernel takes such a tree", path.display());
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

fn blob(bytes: &[u8]) -> Result<Tree> {
    Ok(fdt::read_dtb(bytes)?)
}

/// Source is dtc's affair; what it has to say goes to standard error.
fn compiled(path: &Path) -> Result<Tree> {
    file(path)?;
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-I", "dts", "-O", "dtb", "-o", "-", "--"]).arg(path);
    let output = dtc.output().context("can't run dtc; `cargo xtask doctor --install` brings it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "dtc can't compile {}\n{}", path.display(), said.trim_end());
    eprint!("{said}");
    blob(&output.stdout).context("can't read what dtc made")
}
