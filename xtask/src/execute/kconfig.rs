//! ResolveKconfig: the fragments through the kernel's own conf, and the proof that they survived it.

use std::{fs, sync::Arc};

use anyhow::{Context as _, Result, bail};

use super::{kernel, run::Job};
use crate::{
    kernel::{
        Composed, DotConfig, command::source_arch, image, kconfig_text::read_tree,
        trust_level::check_trust_level, verify::verify,
    },
    profile::types::{Arch, Vtl},
    store::OutputKind,
};

pub fn resolve(
    job: &Job,
    arch: Arch,
    vtl: Vtl,
    all_config: &str,
    composed: &Composed,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let folder = kernel::build_folder(job)?;
    let requests = folder.path().join("requests.config");
    fs::write(&requests, all_config).with_context(|| format!("can't write {}", requests.display()))?;
    let build = kernel::describe(job, arch, folder.path());
    kernel::make(job, &build.configure(&requests)?, None)?;

    let path = folder.path().join(image::DOT_CONFIG);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let dot_config = DotConfig::parse(&Arc::from("kernel.config"), &text)?;
    let source = job.input("source");
    // Both judgements are about the same file: whoever mends one wants to know of the other.
    let survived = verify(composed, &dot_config, || read_tree(source, source_arch(arch)));
    let level = check_trust_level(vtl, &dot_config);
    match (survived, level) {
        (Ok(()), Ok(())) => {}
        (Err(lost), Ok(())) => return Err(lost.into()),
        (Ok(()), Err(wrong)) => return Err(wrong.into()),
        (Err(lost), Err(wrong)) => bail!("{wrong}\n{lost}"),
    }
    job.write("kernel.config", text.as_bytes())?;
    Ok(vec![("kernel.config", OutputKind::File)])
}
