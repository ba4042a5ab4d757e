//! `cargo xtask schema`: the JSON schemas beside the profiles and that of the manifest, written anew from the types.

use anyhow::{Context as _, Result};
use clap::Args;

use crate::profile::{self, Project};

#[derive(Args, Debug)]
pub struct Schema {}

pub fn run(_: &Schema) -> Result<()> {
    let project = Project::find()?;
    for (path, text) in profile::schemas() {
        std::fs::write(project.root.join(path), text).with_context(|| format!("can't write {path}"))?;
        println!("{path}");
    }
    Ok(())
}
