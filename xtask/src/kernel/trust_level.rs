//! The rule that this project exists for: whether a kernel is one for a trust level above 0 is decided when
//! it is configured, and the final .config is the judge. Nothing here looks at profiles' other rules.

use thiserror::Error;

use super::{DotConfig, Value};
use crate::profile::Vtl;

const SYMBOL: &str = "CONFIG_HYPERV_VTL_MODE";

/// The final configuration contradicts the profile's trust level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WrongTrustLevel {
    #[error(
        "CONFIG_HYPERV_VTL_MODE is y in the final configuration of a VTL0 profile\n\
         \x20 reason: such a kernel replaces the platform's set-up at build time and does not boot as a normal guest\n\
         \x20 hint: a fragment for VTL2 got into this profile; remove it from kernel.fragments"
    )]
    Vtl2KernelInVtl0,
    #[error(
        "CONFIG_HYPERV_VTL_MODE is not y in the final configuration of a VTL2 profile\n\
         \x20 reason: a kernel without it takes VTL2 for a normal guest and does not boot there\n\
         \x20 hint: set CONFIG_HYPERV_VTL_MODE=y in a fragment; it depends on HYPERV and SMP, and on arm64 on Linux 6.16 or later"
    )]
    Vtl0KernelInVtl2,
}

/// A VTL0 profile never has CONFIG_HYPERV_VTL_MODE, a VTL2 profile always does (drivers/hv/Kconfig).
pub fn check_trust_level(vtl: Vtl, dot_config: &DotConfig) -> Result<(), WrongTrustLevel> {
    let vtl_mode = dot_config.get(SYMBOL) == Some(&Value::Yes);
    match (vtl, vtl_mode) {
        (Vtl::Vtl0, false) | (Vtl::Vtl2, true) => Ok(()),
        (Vtl::Vtl0, true) => Err(WrongTrustLevel::Vtl2KernelInVtl0),
        (Vtl::Vtl2, false) => Err(WrongTrustLevel::Vtl0KernelInVtl2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination() {
        use WrongTrustLevel::*;
        let cases = [
            (Vtl::Vtl0, "CONFIG_SMP=y\n", Ok(())),
            (Vtl::Vtl0, "# CONFIG_HYPERV_VTL_MODE is not set\n", Ok(())),
            (Vtl::Vtl0, "CONFIG_HYPERV_VTL_MODE=y\n", Err(Vtl2KernelInVtl0)),
            (Vtl::Vtl2, "CONFIG_HYPERV_VTL_MODE=y\n", Ok(())),
            (Vtl::Vtl2, "# CONFIG_HYPERV_VTL_MODE is not set\n", Err(Vtl0KernelInVtl2)),
            (Vtl::Vtl2, "CONFIG_SMP=y\n", Err(Vtl0KernelInVtl2)),
        ];
        for (vtl, text, expected) in cases {
            let config = DotConfig::parse(&".config".into(), text).unwrap();
            assert_eq!(check_trust_level(vtl, &config), expected, "{vtl:?} with {text}");
        }
    }
}
