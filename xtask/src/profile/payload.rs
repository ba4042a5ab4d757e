//! Rules of recipes, alone and together: what they bring must exist, and no two may claim one path.

use std::{collections::BTreeMap, rc::Rc};

use document::{Node, Origin, Problem, Problems, did_you_mean, list};

use super::{
    files::Files,
    load::{PINS, RECIPES},
    pins::LoadedPins,
    scalar::FileMode,
    types::{Arch, CargoSource, DebArch, Recipe},
};

/// recipes/NAME/recipe.yaml with the places of its values.
pub(super) struct LoadedRecipe {
    pub name: String,
    pub recipe: Recipe,
    pub node: Node,
}

impl LoadedRecipe {
    /// Where a value stands, such as `files.0.source`.
    fn origin(&self, key: &str) -> Origin {
        self.node.at(key).unwrap_or(&self.node).origin.clone()
    }
}

/// Checks a recipe on its own; true if nothing was wrong.
pub(super) fn check_recipe(files: &dyn Files, loaded: &LoadedRecipe, problems: &mut Problems) -> bool {
    let before = problems.0.len();
    let folder = format!("{RECIPES}/{}", loaded.name);
    let recipe = &loaded.recipe;
    if recipe.cargo.is_some() && recipe.prebuilt.is_some() {
        let message = "a recipe has `cargo` or `prebuilt`, not both: it brings one program, made in one way";
        let problem = Problem::new(loaded.origin("prebuilt"), message);
        let problem = problem.related(loaded.origin("cargo"), "`cargo` is here");
        problems.push(problem.hint("make two recipes of it"));
    }
    if [Arch::X86_64, Arch::Aarch64].into_iter().all(|arch| claims(loaded, arch).is_empty()) {
        let problem = Problem::new(loaded.origin(""), "the recipe brings nothing into the initramfs");
        problems.push(
            problem.hint("add `cargo`, `prebuilt`, `packages`, `files`, `directories`, `links` or `nodes`"),
        );
    }
    for (index, file) in recipe.files.iter().flatten().enumerate() {
        let path = format!("{folder}/{}", file.source);
        if !files.is_file(&path) {
            let origin = loaded.origin(&format!("files.{index}.source"));
            problems.push(Problem::new(origin, format!("there is no file {path}")));
        }
    }
    check_crate(files, &folder, loaded, problems);
    problems.0.len() == before
}

/// The pins of `packages` must be there, and be for the architecture that they are listed for.
pub(super) fn check_packages(loaded: &LoadedRecipe, pins: &LoadedPins, problems: &mut Problems) {
    for (index, file) in loaded.recipe.packages.iter().flatten().enumerate() {
        let origin = loaded.origin(&format!("packages.{index}.pin"));
        let Some(pin) = pins.pins.get(&file.pin) else {
            let problem = Problem::new(origin, format!("there is no pin `{}` in {PINS}", file.pin));
            problems.push(match did_you_mean(file.pin.as_str(), pins.names()) {
                Some(close) => problem.hint(format!("did you mean `{close}`?")),
                None => problem.hint(format!("pins there are: {}", list(pins.names(), "and"))),
            });
            continue;
        };
        let fits = match pin.deb.architecture {
            DebArch::All => true,
            DebArch::Amd64 => file.arch == Arch::X86_64,
            DebArch::Arm64 => file.arch == Arch::Aarch64,
        };
        if !fits {
            let message = format!(
                "the package of `{}` is for {}, and this entry for {}",
                file.pin,
                pin.deb.architecture.name(),
                file.arch.name()
            );
            let problem = Problem::new(origin, message);
            problems.push(problem.related(pins.origin(&file.pin, "deb.architecture"), "set here"));
        }
    }
}

/// A crate on this machine must be there. One in a Git repository shows when it is fetched.
fn check_crate(files: &dyn Files, folder: &str, loaded: &LoadedRecipe, problems: &mut Problems) {
    let Some(cargo) = &loaded.recipe.cargo else { return };
    let (crate_folder, key) = match &cargo.source {
        Some(CargoSource::Git(_)) => return,
        Some(CargoSource::Path(path)) => (path.as_str(), "cargo.source.path"),
        None => (folder, "cargo"),
    };
    let there = ["Cargo.toml", "Cargo.lock"].map(|name| files.is_file(&format!("{crate_folder}/{name}")));
    let (name, why, hint) = match there {
        [false, _] => {
            ("Cargo.toml", "the crate", "say where the crate is with `source: {path: …}` or `{git: …}`")
        }
        [true, false] => {
            ("Cargo.lock", "recipes are built with --locked", "run `cargo generate-lockfile` there")
        }
        [true, true] => return,
    };
    let message = format!("there is no file {crate_folder}/{name} ({why})");
    problems.push(Problem::new(loaded.origin(key), message).hint(hint));
}

/// What stands at a path of the initramfs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A program or a file.
    File,
    Link,
    Node,
    /// A folder, with its mode.
    Directory(FileMode),
}

/// A path that a recipe brings for an architecture.
struct Claim {
    path: String,
    kind: Kind,
    origin: Origin,
}

fn claims(loaded: &LoadedRecipe, arch: Arch) -> Vec<Claim> {
    let recipe = &loaded.recipe;
    let claim = |path: &dyn ToString, kind, key: String| Claim {
        path: path.to_string(),
        kind,
        origin: loaded.origin(&key),
    };
    let mut claims = Vec::new();
    if let Some(cargo) = &recipe.cargo {
        claims.push(claim(&cargo.install, Kind::File, "cargo.install".to_owned()));
    }
    for (index, prebuilt) in recipe.prebuilt.iter().flatten().enumerate() {
        if prebuilt.arch == arch {
            claims.push(claim(&prebuilt.install, Kind::File, format!("prebuilt.{index}.install")));
        }
    }
    for (index, file) in recipe.packages.iter().flatten().enumerate() {
        if file.arch == arch {
            claims.push(claim(&file.install, Kind::File, format!("packages.{index}.install")));
        }
    }
    for (index, file) in recipe.files.iter().flatten().enumerate() {
        claims.push(claim(&file.target, Kind::File, format!("files.{index}.target")));
    }
    for (index, folder) in recipe.directories.iter().flatten().enumerate() {
        let kind = Kind::Directory(folder.mode.unwrap_or(FileMode::PROGRAM));
        claims.push(claim(&folder.path, kind, format!("directories.{index}.path")));
    }
    for (index, link) in recipe.links.iter().flatten().enumerate() {
        claims.push(claim(&link.path, Kind::Link, format!("links.{index}.path")));
    }
    for (index, node) in recipe.nodes.iter().flatten().enumerate() {
        claims.push(claim(&node.path, Kind::Node, format!("nodes.{index}.path")));
    }
    claims
}

/// Checks the recipes of a profile together. `origin` is where the profile lists them.
pub(super) fn check_together(
    recipes: &[Rc<LoadedRecipe>],
    arch: Arch,
    command_line: &str,
    origin: &Origin,
    problems: &mut Problems,
) {
    for recipe in recipes {
        let prebuilt = recipe.recipe.prebuilt.iter().flatten().map(|prebuilt| prebuilt.arch);
        let packages = recipe.recipe.packages.iter().flatten().map(|file| file.arch);
        for (key, has) in [("prebuilt", prebuilt.collect::<Vec<_>>()), ("packages", packages.collect())] {
            if has.is_empty() || has.contains(&arch) {
                continue;
            }
            let message = format!("the recipe `{}` has no program for {}", recipe.name, arch.name());
            let problem = Problem::new(recipe.origin(key), message);
            let problem = problem.related(origin.clone(), "a profile of that architecture uses it");
            problems.push(problem.hint(format!("add an entry with `arch: {}`", arch.name())));
        }
    }
    let claims: Vec<_> = recipes.iter().flat_map(|recipe| claims(recipe, arch)).collect();
    let claimed = unique(&claims, problems);
    check_parents(&claimed, problems);
    check_init(&claimed, command_line, origin, problems);
}

/// The claims by path. Two for the same path are a problem, unless they are the same folder.
fn unique<'a>(claims: &'a [Claim], problems: &mut Problems) -> BTreeMap<&'a str, &'a Claim> {
    let mut claimed: BTreeMap<&str, &Claim> = BTreeMap::new();
    for claim in claims {
        match claimed.get(claim.path.as_str()) {
            Some(first) if matches!(claim.kind, Kind::Directory(_)) && first.kind == claim.kind => {}
            Some(first) => problems.push(
                Problem::new(claim.origin.clone(), format!("`{}` is brought twice", claim.path))
                    .related(first.origin.clone(), "first here")
                    .hint("remove one, or choose another path"),
            ),
            None => _ = claimed.insert(&claim.path, claim),
        }
    }
    claimed
}

/// Nothing can lie below a file or device node.
fn check_parents(claimed: &BTreeMap<&str, &Claim>, problems: &mut Problems) {
    for (path, claim) in claimed {
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        let blocking = parents.filter_map(|parent| claimed.get(parent));
        for blocking in blocking.filter(|blocking| matches!(blocking.kind, Kind::File | Kind::Node)) {
            let message = format!("`{path}` lies below `{}`, which is no folder", blocking.path);
            let problem = Problem::new(claim.origin.clone(), message);
            problems.push(problem.related(blocking.origin.clone(), "brought here"));
        }
    }
}

/// The kernel starts /init, or what `rdinit=` says, from the initramfs; without it, it panics for want of a root.
fn check_init(
    claimed: &BTreeMap<&str, &Claim>,
    command_line: &str,
    origin: &Origin,
    problems: &mut Problems,
) {
    let runs = |path: &str| matches!(claimed.get(path), Some(claim) if [Kind::File, Kind::Link].contains(&claim.kind));
    if !runs("/init") {
        let message = "no recipe brings /init, which the kernel starts as process 1";
        let problem = Problem::new(origin.clone(), message);
        problems.push(problem.hint("add a recipe that installs /init, such as `vtl2-init`"));
    }
    for other in command_line.split(' ').filter_map(|option| option.strip_prefix("rdinit=")) {
        if !runs(other) {
            let message = format!("the command line has rdinit={other}, which no recipe brings");
            problems.push(Problem::new(origin.clone(), message).hint("/init is started without that option"));
        }
    }
}
