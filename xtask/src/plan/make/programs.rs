//! Programs of ours that are compiled for the guest: recipes, the monitor with its loader, the boot shim.

use super::{Inputs, Maker, RustWay, output};
use crate::{
    plan::{Action, RustFrom, Source},
    profile::{
        device_tree,
        types::{Arch, CargoBuild, CargoSource},
    },
};

/// The workspace of the monitor, its loader and the boot shim.
const BARE: &str = "bare";

impl Maker<'_> {
    pub(super) fn payload(&mut self, arch: Arch, recipe: &str, build: &CargoBuild) -> usize {
        let package = build.package.to_string();
        let source = match &build.source {
            None => Source::Folder(format!("recipes/{recipe}")),
            Some(CargoSource::Path(path)) => Source::Local(path.to_string()),
            Some(CargoSource::Git(git)) => self.fetch_git(git, &[]),
        };
        let mut inputs: Inputs = [("crate".to_string(), source.clone())].into();
        // A local crate is built where it is, as its owner builds it: cargo brings its crates itself.
        if !matches!(source, Source::Local(_)) {
            let action = Action::VendorCrates { package: package.clone() };
            let vendor = self.step(format!("vendor {package}"), action, [("crate".into(), source)].into());
            inputs.insert("vendor".into(), output(vendor, "tree"));
        }
        let rust = self.rust(arch, &mut inputs);
        let action = Action::BuildPayload {
            arch,
            package,
            binary: build.binary.to_string(),
            features: build.features.iter().flatten().map(ToString::to_string).collect(),
            rust,
        };
        self.step(format!("payload {recipe} {}", arch.name()), action, inputs)
    }

    pub(super) fn monitor(&mut self, arch: Arch, way: RustWay) -> usize {
        let (inputs, rust) = self.bare_inputs(arch, way);
        self.step(format!("monitor {}", arch.name()), Action::BuildMonitor { arch, rust }, inputs)
    }

    /// What UEFI starts, of the same crate.
    pub(super) fn loader(&mut self, arch: Arch, way: RustWay) -> usize {
        let (inputs, rust) = self.bare_inputs(arch, way);
        self.step(format!("loader {}", arch.name()), Action::BuildLoader { arch, rust }, inputs)
    }

    /// The boot shim, for the address that the file gives it.
    pub(super) fn shim(&mut self, arch: Arch, machine: &fdt::machine::Machine) -> usize {
        let memory = device_tree::own_memory(machine);
        // Memory without room for it is told of when the file is packed, with everything that needs room.
        let base = image::igvm::shim::base(&memory).unwrap_or(2 << 20);
        let (inputs, rust) = self.bare_inputs(arch, self.host.bare[&arch].clone());
        let name = format!("boot shim {} at {base:#x}", arch.name());
        self.step(name, Action::BuildShim { arch, base, rust }, inputs)
    }

    /// Programs without a system below are one workspace, which each is built from as a whole.
    fn bare_inputs(&mut self, arch: Arch, way: RustWay) -> (Inputs, RustFrom) {
        let mut inputs: Inputs = [("crate".to_string(), Source::Folder(BARE.to_string()))].into();
        let action = Action::VendorCrates { package: BARE.to_string() };
        let vendor = self.step(format!("vendor {BARE}"), action, inputs.clone());
        inputs.insert("vendor".to_string(), output(vendor, "tree"));
        let rust = self.rust_from(arch, way, &mut inputs);
        (inputs, rust)
    }

    fn rust(&mut self, arch: Arch, inputs: &mut Inputs) -> RustFrom {
        self.rust_from(arch, self.host.rust[&arch].clone(), inputs)
    }

    fn rust_from(&mut self, arch: Arch, way: RustWay, inputs: &mut Inputs) -> RustFrom {
        match way {
            RustWay::Toolchain { target } => RustFrom::Toolchain { target },
            RustWay::Builder { target } => RustFrom::Builder { target },
            RustWay::Debian { target, packages } => {
                let mut debs = Inputs::new();
                for (number, (name, pin)) in packages.into_iter().enumerate() {
                    let fetched = self.step(format!("fetch {name}"), Action::FetchDeb(pin), Inputs::new());
                    debs.insert(format!("package-{number:02}"), output(fetched, "file"));
                }
                let unpack = self.step(format!("unpack rust for {}", arch.name()), Action::UnpackDebs, debs);
                inputs.insert("rust".into(), output(unpack, "tree"));
                RustFrom::Debian { target }
            }
        }
    }
}
