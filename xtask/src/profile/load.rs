//! Finds and reads the files of the profiles asked for, each once, and collects what is wrong with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, LazyLock},
};

use document::{Node, Origin, Problem, Problems, Shape, did_you_mean, list};

use super::{
    builder::{self, BUILDER, Builder, BuilderFile, BuilderLock, LOCK, LoadedBuilder},
    files::Files,
    layers,
    pair::{self, Pair},
    payload::{self, LoadedRecipe},
    pins::{self, LoadedPins},
    rules,
    scalar::Name,
    spec::{self, Spec},
    types::{DebPin, KernelSource, Pins, Profile, Recipe},
};
use crate::kernel::{
    fragment,
    lint::{Rules, RulesFile},
};

pub(super) const PROFILES: &str = "profiles";
pub(super) const LAYERS: &str = "profiles/layers";
pub(super) const PINS: &str = "profiles/pins.yaml";
pub(super) const RECIPES: &str = "recipes";
const RULES: &str = "configs/rules.yaml";

pub(super) static PROFILE_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<Profile>);
static PINS_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<Pins>);
static RECIPE_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<Recipe>);
static BUILDER_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<BuilderFile>);
static LOCK_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<BuilderLock>);
static RULES_SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<RulesFile>);

/// Makes the shapes of pins, recipes and rules beside whatever the caller does first: a build that finds nothing to do
/// spends a good part of its time on them.
fn warm_up() {
    for shape in [&PINS_SHAPE, &RECIPE_SHAPE, &RULES_SHAPE] {
        std::thread::spawn(|| LazyLock::force(shape));
    }
}

/// Every profile of the project that builds something, in order of their names, or everything that is wrong with any of them, with
/// any layer, with any recipe or with the pins.
pub fn load_all(files: &dyn Files) -> Result<Vec<Spec>, Problems> {
    let mut loader = Loader::new(files);
    let names = loader.profile_names();
    if names.is_empty() {
        let message = "there is no profile: no file profiles/NAME.yaml";
        loader.problems.push(Problem::new(Origin::file(&PROFILES.into()), message));
    }
    for layer in loader.layer_names() {
        loader.layer(&layer);
    }
    for recipe in loader.recipe_names() {
        loader.recipe(&recipe);
    }
    let mut specs = loader.finish(&names)?;
    specs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(specs)
}

/// The profiles of these names, each once, in this order, with the parts in a pair's place, or everything that is wrong with them and with what they use.
pub fn load(files: &dyn Files, names: &[String]) -> Result<Vec<Spec>, Problems> {
    let mut loader = Loader::new(files);
    let known = loader.profile_names();
    let mut seen = BTreeSet::new();
    let names = names.iter().filter(|name| seen.insert(*name)).cloned();
    let (present, absent): (Vec<_>, Vec<_>) = names.partition(|name| known.contains(name));
    for name in absent {
        let origin = Origin::file(&PROFILES.into());
        let problem =
            Problem::new(origin, format!("there is no profile `{name}`, only {}", list(&known, "and")));
        let close = did_you_mean(&name, known.iter().map(String::as_str));
        loader.problems.push(match close {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem.hint(format!("a new profile is a new file, {PROFILES}/NAME.yaml")),
        });
    }
    loader.finish(&present)
}

/// The pair of this name; None if it is a profile that builds something, or none at all.
pub fn pair_named(files: &dyn Files, name: &str) -> Result<Option<Pair>, Problems> {
    let mut loader = Loader::new(files);
    let pair = match loader.names_pair(name) {
        true => loader.read_profile(name).and_then(|document| pair::read(&mut loader, name, &document)),
        false => None,
    };
    loader.report(pair)
}

/// The same profile with the kernel that another pin names, or what is wrong with that.
pub fn with_kernel(files: &dyn Files, spec: &Spec, pin: &str) -> Result<Spec, Problems> {
    let mut loader = Loader::new(files);
    let mut spec = spec.clone();
    if let Some(pins) = loader.pins() {
        match pins.pins.iter().find(|(name, _)| name.as_str() == pin) {
            Some((name, pin)) => {
                for key in ["kernel.source", "kernel.source.pin"] {
                    spec.origins.insert(key.to_string(), pins.origin(name, ""));
                }
                (spec.kernel.source, spec.kernel.pin) = (KernelSource::Pin(name.clone()), Some(pin.clone()));
                rules::check(&spec, &mut loader.problems);
            }
            None => {
                let problem = Problem::new(Origin::file(&PINS.into()), format!("there is no pin `{pin}`"));
                let kernels = pins.pins.iter().filter(|(_, pin)| pin.linux.is_some());
                let kernels: Vec<&str> = kernels.map(|(name, _)| name.as_str()).collect();
                loader.problems.push(problem.hint(format!("pins of kernels are {}", list(&kernels, "and"))));
            }
        }
    }
    loader.report(spec)
}

/// Names of the pins that are kernels.
pub fn kernel_pins(files: &dyn Files) -> Result<Vec<String>, Problems> {
    let mut loader = Loader::new(files);
    let pins = loader.pins();
    let kernels = pins.iter().flat_map(|pins| pins.pins.iter()).filter(|(_, pin)| pin.linux.is_some());
    let kernels = kernels.map(|(name, _)| name.to_string()).collect();
    loader.report(kernels)
}

/// Names and packages of the Rust toolchain for aarch64 that profiles/pins.yaml has, in order.
pub fn rust_packages(files: &dyn Files) -> Result<Vec<(String, DebPin)>, Problems> {
    let mut loader = Loader::new(files);
    let pins = loader.pins();
    let pinned = |name: &Name| Some((name.to_string(), pins.as_ref()?.pins.get(name)?.deb.clone()));
    let packages = pins.iter().flat_map(|pins| &pins.rust_for_aarch64).filter_map(pinned).collect();
    loader.report(packages)
}

/// The root in which releases are built, as its lock has it.
pub fn builder(files: &dyn Files) -> Result<Builder, Problems> {
    let mut loader = Loader::new(files);
    let builder = loader.builder();
    match loader.report(builder)? {
        Some(builder) => Ok(builder),
        None => unreachable!("a builder that can't be used has a reason"),
    }
}

/// What is wanted in that root, whatever the lock says.
pub fn builder_file(files: &dyn Files) -> Result<BuilderFile, Problems> {
    let mut loader = Loader::new(files);
    let file = loader.of_builder(BUILDER, &BUILDER_SHAPE);
    match loader.report(file)? {
        Some((_, file)) => Ok(file),
        None => unreachable!("a file that can't be used has a reason"),
    }
}

/// The packages that the lock has now; none if it can't be used.
pub fn locked(files: &dyn Files) -> Vec<DebPin> {
    let mut loader = Loader::new(files);
    let lock = loader.of_builder::<BuilderLock>(LOCK, &LOCK_SHAPE);
    lock.map(|(_, lock)| lock.locked).unwrap_or_default()
}

/// The rules over kernel configurations that configs/rules.yaml has.
pub fn lint_rules(files: &dyn Files) -> Result<Rules, Problems> {
    let mut loader = Loader::new(files);
    let rules = loader.rules();
    loader.report(rules.as_deref().cloned().unwrap_or_default())
}

/// A file that could be read, checked on its own.
pub(super) struct Document {
    pub file: Arc<str>,
    pub node: Node,
    /// Whether nothing was wrong with it.
    pub clean: bool,
}

/// Reads each file at most once. What is wrong goes to `problems`; None is for what can't be used.
pub(super) struct Loader<'a> {
    pub files: &'a dyn Files,
    pub problems: Problems,
    texts: BTreeMap<String, String>,
    profiles: BTreeMap<String, Option<Rc<Document>>>,
    layers: BTreeMap<String, Option<Rc<Document>>>,
    recipes: BTreeMap<String, Option<Rc<LoadedRecipe>>>,
    fragments: BTreeSet<String>,
    pins: Option<Option<Rc<LoadedPins>>>,
    rules: Option<Option<Rc<Rules>>>,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files) -> Self {
        warm_up();
        Loader {
            files,
            problems: Problems::default(),
            texts: BTreeMap::new(),
            profiles: BTreeMap::new(),
            layers: BTreeMap::new(),
            recipes: BTreeMap::new(),
            fragments: BTreeSet::new(),
            pins: None,
            rules: None,
        }
    }

    fn finish(mut self, names: &[String]) -> Result<Vec<Spec>, Problems> {
        self.pins();
        self.rules();
        let (mut images, mut pairs) = (Vec::new(), Vec::new());
        for name in names {
            let Some(document) = self.read_profile(name) else { continue };
            if !pair::is_pair(&document) {
                images.push(name.clone());
            } else if let Some(pair) = pair::read(&mut self, name, &document) {
                images.extend(pair.parts().map(str::to_owned));
                pairs.push(pair);
            }
        }
        let mut seen = BTreeSet::new();
        images.retain(|name| seen.insert(name.clone()));
        let specs: Vec<_> = images.iter().filter_map(|name| self.profile(name)).collect();
        for pair in &pairs {
            pair::check(pair, &specs, &mut self.problems);
        }
        let complete = specs.len() == images.len();
        debug_assert!(complete || !self.problems.is_empty(), "a profile vanished without a reason");
        self.report(specs)
    }

    /// `value` if nothing was wrong; otherwise the problems, each with the line it is about.
    fn report<T>(self, value: T) -> Result<T, Problems> {
        let Loader { mut problems, texts, .. } = self;
        problems.add_excerpts(|file| texts.get(file).map(String::as_str));
        problems.into_result(value)
    }

    fn profile(&mut self, name: &str) -> Option<Spec> {
        let document = self.read_profile(name)?;
        let merged = layers::resolve(self, &document)?;
        spec::resolve(self, name, &document.file, &merged)
    }

    /// The file of a profile or of a pair; None if it can't be read.
    fn read_profile(&mut self, name: &str) -> Option<Rc<Document>> {
        if let Some(known) = self.profiles.get(name) {
            return known.clone();
        }
        let document = self.document(&format!("{PROFILES}/{name}.yaml"), &PROFILE_SHAPE).map(Rc::new);
        if let Some(document) = &document
            && Name::parse(name).is_none()
        {
            let message = format!("the file's name makes no profile name: expected {}", Name::WANTED);
            self.problems.push(Problem::new(Origin::file(&document.file), message).hint("rename the file"));
        }
        self.profiles.insert(name.to_owned(), document.clone());
        document
    }

    /// Whether the file of this name is a pair's.
    pub fn names_pair(&mut self, name: &str) -> bool {
        self.read_profile(name).is_some_and(|document| pair::is_pair(&document))
    }

    /// A layer; None if it isn't there (which is for the caller to report) or can't be read.
    pub fn layer(&mut self, name: &str) -> Option<Rc<Document>> {
        if let Some(known) = self.layers.get(name) {
            return known.clone();
        }
        let document = self.document(&format!("{LAYERS}/{name}.yaml"), &PROFILE_SHAPE).map(Rc::new);
        if let Some(pair) = document.as_ref().and_then(|document| document.node.get("pair")) {
            let problem =
                Problem::new(pair.origin.clone(), "a layer has no `pair`: it would make every profile one");
            self.problems.push(problem.hint("write it in a file of its own, profiles/NAME.yaml"));
        }
        self.layers.insert(name.to_owned(), document.clone());
        document
    }

    /// A recipe; None if it isn't there (which is for the caller to report) or is wrong.
    pub fn recipe(&mut self, name: &str) -> Option<Rc<LoadedRecipe>> {
        if let Some(known) = self.recipes.get(name) {
            return known.clone();
        }
        let document = self.document(&format!("{RECIPES}/{name}/recipe.yaml"), &RECIPE_SHAPE);
        let recipe = document.filter(|document| document.clean).and_then(|document| {
            let recipe = self.typed(&document.node)?;
            let loaded = LoadedRecipe { name: name.to_owned(), recipe, node: document.node };
            if loaded.recipe.packages.is_some() {
                let pins = self.pins()?;
                payload::check_packages(&loaded, &pins, &mut self.problems);
            }
            payload::check_recipe(self.files, &loaded, &mut self.problems).then(|| Rc::new(loaded))
        });
        self.recipes.insert(name.to_owned(), recipe.clone());
        recipe
    }

    /// Reports what is wrong with a fragment by itself, so that it is told together with what is wrong elsewhere.
    /// How fragments fit together is seen when they are composed.
    pub fn fragment(&mut self, path: &str) {
        if !self.fragments.insert(path.to_owned()) {
            return;
        }
        let file: Arc<str> = path.into();
        match self.files.read(path) {
            Ok(bytes) => self.problems.append(fragment::parse(&file, &bytes.unwrap_or_default()).1),
            Err(error) => {
                self.problems.push(Problem::new(Origin::file(&file), format!("can't be read: {error}")));
            }
        }
    }

    /// The pins; None if they can't be used.
    pub fn pins(&mut self) -> Option<Rc<LoadedPins>> {
        if self.pins.is_none() {
            let read = self.read_pins().map(Rc::new);
            self.pins = Some(read);
        }
        self.pins.clone().flatten()
    }

    fn read_pins(&mut self) -> Option<LoadedPins> {
        if !self.files.is_file(PINS) {
            let message = "the file is missing; it lists every download with its digest";
            self.problems.push(Problem::new(Origin::file(&PINS.into()), message));
            return None;
        }
        let document = self.document(PINS, &PINS_SHAPE)?;
        if !document.clean {
            return None;
        }
        let pins: Pins = self.typed(&document.node)?;
        let rust_for_aarch64 = pins.rust_for_aarch64.unwrap_or_default();
        let loaded = LoadedPins { pins: pins.pins, rust_for_aarch64, node: document.node };
        pins::check(&loaded, &mut self.problems);
        Some(loaded)
    }

    /// The root in which releases are built; None if it can't be used.
    fn builder(&mut self) -> Option<Builder> {
        let file = self.of_builder::<BuilderFile>(BUILDER, &BUILDER_SHAPE);
        let lock = self.of_builder::<BuilderLock>(LOCK, &LOCK_SHAPE);
        let ((file_node, file), (lock_node, lock)) = (file?, lock?);
        builder::check(&LoadedBuilder { file, file_node, lock, lock_node }, &mut self.problems)
    }

    /// One of the two files that say what is in it.
    fn of_builder<T: serde::de::DeserializeOwned>(&mut self, path: &str, shape: &Shape) -> Option<(Node, T)> {
        if !self.files.is_file(path) {
            let message = "the file is missing; it says what is in the root in which releases are built";
            let problem = Problem::new(Origin::file(&path.into()), message);
            self.problems.push(match path {
                LOCK => problem.hint("`cargo xtask pins lock` makes it"),
                _ => problem,
            });
            return None;
        }
        let document = self.document(path, shape).filter(|document| document.clean)?;
        let typed = self.typed(&document.node)?;
        Some((document.node, typed))
    }

    /// The rules over kernel configurations; None if they can't be used.
    pub fn rules(&mut self) -> Option<Rc<Rules>> {
        if self.rules.is_none() {
            let read = self.read_rules().map(Rc::new);
            self.rules = Some(read);
        }
        self.rules.clone().flatten()
    }

    fn read_rules(&mut self) -> Option<Rules> {
        if !self.files.is_file(RULES) {
            let message = "the file is missing; it says what a kernel needs at which trust level";
            self.problems.push(Problem::new(Origin::file(&RULES.into()), message));
            return None;
        }
        let document = self.document(RULES, &RULES_SHAPE)?;
        if !document.clean {
            return None;
        }
        let file: RulesFile = self.typed(&document.node)?;
        let before = self.problems.0.len();
        let rules = Rules::new(file, &document.node, &mut self.problems);
        (self.problems.0.len() == before).then_some(rules)
    }

    /// The typed value of a clean document.
    pub fn typed<T: serde::de::DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        node.to().map_err(|problem| self.problems.push(problem)).ok()
    }

    fn document(&mut self, path: &str, shape: &Shape) -> Option<Document> {
        let file: Arc<str> = path.into();
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.problems.push(Problem::new(Origin::file(&file), format!("can't be read: {error}")));
                return None;
            }
        };
        self.texts.insert(path.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        let before = self.problems.0.len();
        let node = document::parse(&file, &bytes, &mut self.problems)?;
        document::check(&node, shape, &mut self.problems);
        Some(Document { file, node, clean: self.problems.0.len() == before })
    }

    pub fn profile_names(&mut self) -> Vec<String> {
        let mut names = self.yaml_names(PROFILES);
        names.retain(|name| !["pins", "builder", "builder.lock"].contains(&name.as_str()));
        names
    }

    pub fn layer_names(&mut self) -> Vec<String> {
        self.yaml_names(LAYERS)
    }

    pub fn recipe_names(&mut self) -> Vec<String> {
        let files = self.files;
        let mut names = self.list(RECIPES);
        names.retain(|name| files.is_file(&format!("{RECIPES}/{name}/recipe.yaml")));
        names
    }

    /// Names of the .yaml files in a folder, without the extension.
    fn yaml_names(&mut self, folder: &str) -> Vec<String> {
        let entries = self.list(folder);
        for entry in entries.iter().filter(|entry| entry.ends_with(".yml")) {
            let origin = Origin::file(&format!("{folder}/{entry}").into());
            let problem = Problem::new(origin, "is not read: the names of these files end in .yaml");
            self.problems.push(problem.hint("rename the file"));
        }
        entries.iter().filter_map(|entry| entry.strip_suffix(".yaml")).map(str::to_owned).collect()
    }

    fn list(&mut self, folder: &str) -> Vec<String> {
        self.files.list(folder).unwrap_or_else(|error| {
            let message = format!("the folder can't be read: {error}");
            self.problems.push(Problem::new(Origin::file(&folder.into()), message));
            Vec::new()
        })
    }
}
