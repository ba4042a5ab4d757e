//! What each platform of a file will report of it, computed before anything is loaded.

use igvm::corim::launch_measurement::{LaunchMeasurement, MeasurementKind};
use igvm::{IgvmFile, IgvmPlatformMeasurement, IgvmSerializer};
use igvm_defs::IgvmPlatformType;
use serde::Serialize;

use crate::name;

/// What a platform measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measurement {
    pub platform: String,
    pub compatibility_mask: u32,
    /// The platform's own name of the digest.
    pub name: &'static str,
    pub algorithm: &'static str,
    /// Lower-case hexadecimal digits.
    pub digest: String,
    /// What the loader has to do for the digest to come out.
    pub assumes: &'static [&'static str],
}

/// A file with all its digests, computed once.
pub struct Measured<'a>(IgvmSerializer<'a>);

impl Measured<'_> {
    pub fn new(file: &IgvmFile) -> Result<Measured<'_>, igvm::Error> {
        IgvmSerializer::new(file).map(Measured)
    }

    /// The measurements of all platforms that have one, in the order of the file.
    pub fn measurements(&self) -> Vec<Measurement> {
        let measurement = |measured: &IgvmPlatformMeasurement| {
            let (name, algorithm, assumes) = about(measured.platform);
            Measurement {
                platform: name::platform(measured.platform),
                compatibility_mask: measured.compatibility_mask,
                name,
                algorithm,
                digest: measured.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
                assumes,
            }
        };
        self.0.measurements().iter().map(measurement).collect()
    }

    /// The endorsement (CoRIM) of what a platform measures, for a security version: `tagged-unsigned-corim-map`.
    pub fn endorse(
        &mut self,
        platform: IgvmPlatformType,
        security_version: u32,
    ) -> Result<Vec<u8>, igvm::Error> {
        let mut measurement = LaunchMeasurement::for_platform(platform)?;
        measurement.set_measurement(MeasurementKind::Launch)?;
        measurement.endorse(security_version.into()).with(MeasurementKind::Launch)?.finish()?;
        Ok(self.0.add_corim(platform, measurement.build())?.to_vec())
    }
}

/// Name and algorithm of the platform's digest, and what it takes for granted.
fn about(platform: IgvmPlatformType) -> (&'static str, &'static str, &'static [&'static str]) {
    match platform {
        IgvmPlatformType::SEV_SNP => ("launch digest", "SHA-384", SNP_ASSUMES),
        IgvmPlatformType::TDX => ("MRTD", "SHA-384", TDX_ASSUMES),
        _ => ("boot measurement", "SHA-256", VBS_ASSUMES),
    }
}

const IN_ORDER: &str = "pages are imported one by one in the order of the file's headers";
const PARAMETERS: &str = "parameter areas are imported as unmeasured pages, where their insert header stands";
const VBS_ASSUMES: &[&str] = &[IN_ORDER, PARAMETERS, "registers of the first processor are measured last"];
const SNP_ASSUMES: &[&str] =
    &[IN_ORDER, PARAMETERS, "the VMSA of the first processor is the only one measured, as it is in the file"];
const TDX_ASSUMES: &[&str] =
    &[IN_ORDER, PARAMETERS, "each measured page is added, then extended by 256 bytes at a time"];
