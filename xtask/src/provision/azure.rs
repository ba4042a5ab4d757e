//! An image for Azure: a template in Bicep with its parameters, the same as commands of `az`, and a page for whoever runs
//! either. Facts: Microsoft's documentation of Azure Compute Gallery ("Store and share images"), of confidential machines
//! ("Custom images for Azure confidential VMs") and of Trusted Launch.

use serde_json::json;

use super::{shell::quote, template::fill};
use crate::profile::Arch;

/// Names beside each other.
pub const TEMPLATE: &str = "main.bicep";
pub const PARAMETERS: &str = "main.parameters.json";
pub const SCRIPT: &str = "azure.sh";
pub const README: &str = "README.md";

/// Which machines may be made of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    Confidential,
    TrustedLaunch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OsState {
    /// An agent in the image takes name, user and key when it first starts, and says that it is ready.
    Generalized,
    /// It starts as it is.
    Specialized,
}

pub struct Given {
    pub profile: String,
    pub arch: Arch,
    pub security: Security,
    pub os_state: OsState,
    /// Three numbers.
    pub version: String,
}

impl Security {
    /// The value of the image definition's feature SecurityType.
    fn feature(self) -> &'static str {
        match self {
            Security::Confidential => "ConfidentialVMSupported",
            Security::TrustedLaunch => "TrustedLaunchSupported",
        }
    }
}

impl OsState {
    fn name(self) -> &'static str {
        match self {
            OsState::Generalized => "Generalized",
            OsState::Specialized => "Specialized",
        }
    }
}

// What is made is called so, unless whoever runs it says otherwise.
const GALLERY: &str = "vtlforge";
const GROUP: &str = "vtlforge";
const CONTAINER: &str = "images";
const PUBLISHER: &str = "vtlforge";
const OFFER: &str = "images";
const LOCATION: &str = "westeurope";

fn blob(given: &Given) -> String {
    format!("{}.vhd", given.profile)
}

pub fn template(given: &Given) -> String {
    fill(include_str!("azure.bicep"), &[("profile", given.profile.clone())])
}

/// Those that have no default, but the storage account, whose name nobody can guess.
pub fn parameters(given: &Given) -> String {
    let value = |value: &str| json!({ "value": value });
    let file = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "galleryName": value(GALLERY),
            "imageName": value(&given.profile),
            "imageVersion": value(&given.version),
            "publisher": value(PUBLISHER),
            "offer": value(OFFER),
            "architecture": value(architecture(given.arch)),
            "osState": value(given.os_state.name()),
            "securityType": value(given.security.feature()),
            "containerName": value(CONTAINER),
            "blobName": value(&blob(given)),
        },
    });
    format!("{file:#}\n")
}

pub fn script(given: &Given) -> String {
    fill(
        include_str!("azure.sh"),
        &[
            ("usage", usage(given)),
            ("profile", quote(&given.profile)),
            ("group", GROUP.to_string()),
            ("location", LOCATION.to_string()),
            ("container", CONTAINER.to_string()),
            ("blob", quote(&blob(given))),
            ("gallery", GALLERY.to_string()),
            ("name", quote(&given.profile)),
            ("version", given.version.clone()),
            ("publisher", PUBLISHER.to_string()),
            ("offer", OFFER.to_string()),
            ("size", size(given).to_string()),
            ("architecture", architecture(given.arch).to_string()),
            ("os-state", given.os_state.name().to_string()),
            ("feature", given.security.feature().to_string()),
            ("machine", machine(given)),
        ],
    )
}

pub fn readme(given: &Given) -> String {
    let kind = match given.security {
        Security::Confidential => "confidential machines (AMD SEV-SNP, Intel TDX)",
        Security::TrustedLaunch => "machines of generation 2, with Trusted Launch or without",
    };
    let first_start = match given.os_state {
        OsState::Generalized => {
            "The image is generalised: each machine gets its name, user and key when it first starts, from the agent in it."
        }
        OsState::Specialized => {
            "The image is specialised: its machines start as the disk is, and nothing in them takes a name, a user or a key \
             from Azure."
        }
    };
    fill(
        include_str!("azure.md"),
        &[
            ("profile", given.profile.clone()),
            ("kind", kind.to_string()),
            ("feature", given.security.feature().to_string()),
            ("os-state", given.os_state.name().to_string()),
            ("architecture", architecture(given.arch).to_string()),
            ("first-start", first_start.to_string()),
            ("script", SCRIPT.to_string()),
            ("template", TEMPLATE.to_string()),
            ("parameters", PARAMETERS.to_string()),
            ("usage", usage(given)),
            ("user", user(given).to_string()),
            ("encryption", encryption(given).to_string()),
        ],
    )
}

/// Whom a machine is to know.
fn user(given: &Given) -> &'static str {
    match given.os_state {
        OsState::Generalized => " --admin-username USER --ssh-key-values FILE.pub",
        OsState::Specialized => "",
    }
}

fn usage(given: &Given) -> String {
    [
        "STORAGE_ACCOUNT=NAME azure.sh COMMAND",
        "",
        "  storage          make the resource group, the storage account and the container for the disk",
        "  image            make gallery and image from the disk, and print the image's id",
        &format!("  vm NAME{} [OPTIONS of az vm create]", user(given)),
        "                   make a machine of the image, without a public address",
        "  console NAME     print what the machine has written to its serial port",
        "  remove-vm NAME   remove the machine; its disk and network card stay, as Azure has it",
        "  remove           remove image and disk, and the gallery if nothing else is in it",
        "",
        "Variables: STORAGE_ACCOUNT, GROUP, LOCATION, CONTAINER, BLOB, GALLERY, IMAGE_VERSION, PUBLISHER, OFFER, VM_SIZE.",
    ]
    .join("\n")
}

/// As Azure calls it.
fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x64",
        Arch::Aarch64 => "Arm64",
    }
}

fn size(given: &Given) -> &'static str {
    match (given.security, given.arch) {
        (Security::Confidential, _) => "Standard_DC2as_v5",
        (Security::TrustedLaunch, Arch::X86_64) => "Standard_D2as_v5",
        (Security::TrustedLaunch, Arch::Aarch64) => "Standard_D2ps_v5",
    }
}

/// Options of `az vm create`. Nothing in the images is signed, so Secure Boot stays off.
fn machine(given: &Given) -> String {
    let security = match (given.security, given.arch) {
        (Security::Confidential, _) => {
            "--security-type ConfidentialVM --os-disk-security-encryption-type VMGuestStateOnly --enable-vtpm true \
             --enable-secure-boot false"
        }
        (Security::TrustedLaunch, Arch::X86_64) => {
            "--security-type TrustedLaunch --enable-vtpm true --enable-secure-boot false"
        }
        (Security::TrustedLaunch, Arch::Aarch64) => "--security-type Standard",
    };
    match given.os_state {
        OsState::Generalized => security.to_string(),
        OsState::Specialized => format!("{security} --specialized"),
    }
}

fn encryption(given: &Given) -> &'static str {
    match given.security {
        Security::Confidential => {
            "- `VMGuestStateOnly` encrypts the state of firmware and vTPM. Encrypting the disk as well \
             (`DiskWithVMGuestState`) needs Secure Boot, and nothing in the image is signed.\n"
        }
        Security::TrustedLaunch => "",
    }
}
