//! Where sources come from: downloads, Git, and the patches over them.

use super::{Inputs, Maker, output};
use crate::{
    plan::{Action, Source, SourceFrom},
    profile::{
        spec::Spec,
        types::{GitSource, KernelSource, Pin},
    },
};

impl Maker<'_> {
    /// The kernel's source tree: unpacked and patched, or the user's own.
    pub(super) fn kernel_source(&mut self, spec: &Spec) -> Source {
        let (name, package, from) = match &spec.kernel.source {
            KernelSource::Path(path) => return Source::Local(path.to_string()),
            KernelSource::Pin(name) => {
                let pin = spec.kernel.pin.as_ref().expect("a resolved spec has its pin");
                let member = pin.member.clone().expect("a resolved kernel pin has its member");
                (
                    name.to_string(),
                    self.fetch_pin(name.as_str(), pin),
                    SourceFrom::Deb { member: member.to_string() },
                )
            }
            KernelSource::Archive(archive) => {
                let name = file_name(&archive.url.to_string());
                let action = Action::FetchUrl {
                    url: archive.url.to_string(),
                    sha256: archive.sha256.clone(),
                    size_bytes: archive.size,
                };
                (name.clone(), self.step(format!("fetch {name}"), action, Inputs::new()), SourceFrom::Tarball)
            }
            KernelSource::Git(git) => return self.fetch_git(git, &spec.kernel.patches),
        };
        let patches = spec.kernel.patches.clone();
        let mut inputs = patch_inputs(&patches);
        inputs.insert("source".to_string(), output(package, "file"));
        let name = format!("unpack {name}{}", patched(&patches));
        let unpack = self.step(name, Action::UnpackSource { from, patches }, inputs);
        output(unpack, "tree")
    }

    pub(super) fn fetch_pin(&mut self, name: &str, pin: &Pin) -> usize {
        self.step(format!("fetch {name}"), Action::FetchDeb(pin.deb.clone()), Inputs::new())
    }

    /// The tree of one revision.
    pub(super) fn fetch_git(&mut self, git: &GitSource, patches: &[String]) -> Source {
        let revision = git.revision.to_string();
        let name = format!("fetch git {}{}", &revision[..12], patched(patches));
        let action = Action::FetchGit { url: git.url.to_string(), revision, patches: patches.to_vec() };
        output(self.step(name, action, patch_inputs(patches)), "tree")
    }
}

pub(super) fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path).to_string()
}

fn patch_inputs(patches: &[String]) -> Inputs {
    let roles = patches.iter().enumerate();
    roles.map(|(number, path)| (format!("patch-{number:03}"), Source::File(path.clone()))).collect()
}

fn patched(patches: &[String]) -> &'static str {
    if patches.is_empty() { "" } else { " with patches" }
}
