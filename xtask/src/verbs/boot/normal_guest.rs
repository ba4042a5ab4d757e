//! The kernel of a VTL2 profile, configured without VTL mode and otherwise the same: what `bench boot` compares with.
//! A control and no image, so it is nobody's profile.

use anyhow::Result;

use crate::{
    kernel::lint::Rules,
    plan::ProfileInput,
    profile::{Project, Spec, Vtl},
    verbs::session::{compose, fragment_path},
};

/// Laid over the profile's fragments.
const FRAGMENT: &str = include_str!("normal-guest.config");

pub fn of(project: &Project, mut spec: Spec) -> Result<ProfileInput> {
    const NAME: &str = "normal-guest";
    spec.name = format!("{}-{NAME}", spec.name);
    spec.vtl = Vtl::Vtl0;
    // It has what VTL2 needs, and not what guests that firmware starts do.
    spec.kernel.rules = Rules::default();
    spec.kernel.fragments.push(NAME.to_string());
    let composed = compose(project, &spec, |path| (path == fragment_path(NAME)).then_some(FRAGMENT))?;
    Ok(ProfileInput { spec, composed })
}
