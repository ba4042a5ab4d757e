//! Files that the command line names, where a profile's name is easily given instead.

use std::path::{Component, Path};

use anyhow::{Result, bail};

use crate::profile::Project;

/// Fails if there is no such file but a profile of that name, and names the profile's `artifact`.
pub fn refuse_profile(path: &Path, artifact: &str) -> Result<()> {
    let mut parts = path.components();
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else { return Ok(()) };
    let (Some(name), Ok(project)) = (name.to_str(), Project::find()) else { return Ok(()) };
    if path.exists() || !project.root.join("profiles").join(format!("{name}.yaml")).is_file() {
        return Ok(());
    }
    bail!(
        "{name} is a profile, and this takes a file\n  hint: `cargo xtask build-image {name}` makes out/{name}/{artifact}"
    );
}
