//! Which layers a profile is made of, in which order, and the profile with all of them merged.
//!
//! A layer that is reached in two ways is an error and not silently merged once: which of the two places
//! counts would depend on an order that nobody sees.

use std::{collections::BTreeMap, rc::Rc};

use document::{Node, Origin, Problem, Value, did_you_mean, list};

use super::{
    load::{Document, LAYERS, Loader, PROFILE_SHAPE},
    merge,
    scalar::Name,
};

/// The profile with its layers merged in; None if something is wrong with it or with one of them.
pub(super) fn resolve(loader: &mut Loader, profile: &Document) -> Option<Node> {
    let mut walk =
        Walk { loader, way: Vec::new(), reached: BTreeMap::new(), layers: Vec::new(), clean: true };
    walk.inherit(profile);
    let Walk { layers, clean, .. } = walk;
    if !clean {
        return None;
    }
    let mut merged = Node { value: Value::Map(Vec::new()), origin: profile.node.origin.clone() };
    for layer in layers {
        // A description says what its own file is for.
        merged = merge::merge(merged, without(&layer.node, &["inherit", "description"]), &PROFILE_SHAPE);
    }
    merged = merge::merge(merged, without(&profile.node, &["inherit"]), &PROFILE_SHAPE);
    let before = loader.problems.0.len();
    merge::check_duplicates(&merged, "", &mut loader.problems);
    (loader.problems.0.len() == before).then_some(merged)
}

/// One `inherit` item: the layer it names, and where it stands.
#[derive(Clone, PartialEq, Eq)]
struct Step {
    layer: String,
    origin: Origin,
}

struct Walk<'a, 'b> {
    loader: &'a mut Loader<'b>,
    /// From the profile to where the walk is.
    way: Vec<Step>,
    /// Each layer met so far, with the way to it.
    reached: BTreeMap<String, Vec<Step>>,
    /// Those met so far, the first to apply first.
    layers: Vec<Rc<Document>>,
    clean: bool,
}

impl Walk<'_, '_> {
    fn inherit(&mut self, document: &Document) {
        self.clean &= document.clean;
        let items = document.node.get("inherit").map(Node::items).unwrap_or_default();
        for item in items {
            // What is no name is reported, and must not be looked for as a path.
            let Some(layer) = item.text().filter(|text| Name::parse(text).is_some()) else { continue };
            self.way.push(Step { layer: layer.to_owned(), origin: item.origin.clone() });
            self.step(layer);
            self.way.pop();
        }
    }

    /// Follows the last step of the way.
    fn step(&mut self, layer: &str) {
        let before = &self.way[..self.way.len() - 1];
        if let Some(start) = before.iter().position(|step| step.layer == layer) {
            let circle = self.way[start + 1..].to_vec();
            return self.fail(circular(circle));
        }
        if let Some(first) = self.reached.get(layer) {
            let problem = diamond(layer, first, &self.way);
            return self.fail(problem);
        }
        self.reached.insert(layer.to_owned(), self.way.clone());
        match self.loader.layer(layer) {
            Some(document) => {
                self.inherit(&document);
                self.layers.push(document);
            }
            None => self.missing(layer),
        }
    }

    fn missing(&mut self, layer: &str) {
        self.clean = false;
        let known = self.loader.layer_names();
        if known.iter().any(|known| known == layer) {
            return; // There, but not readable: reported.
        }
        let Some(step) = self.way.last() else { return };
        let message = format!("there is no layer `{layer}` (no file {LAYERS}/{layer}.yaml)");
        let problem = Problem::new(step.origin.clone(), message);
        let hint = match did_you_mean(layer, known.iter().map(String::as_str)) {
            _ if self.loader.profile_names().iter().any(|profile| profile == layer) => {
                format!(
                    "`{layer}` is a profile, and only layers can be inherited: move what both need into one"
                )
            }
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("layers there are: {}", list(&known, "and")),
        };
        self.loader.problems.push(problem.hint(hint));
    }

    fn fail(&mut self, problem: Problem) {
        self.clean = false;
        self.loader.problems.push(problem);
    }
}

/// The same circle gives the same problem from wherever it is entered.
fn circular(mut circle: Vec<Step>) -> Problem {
    let first = (0..circle.len()).min_by_key(|index| &circle[*index].origin).unwrap_or(0);
    circle.rotate_left(first);
    let last = circle.last().map(|step| step.layer.as_str()).unwrap_or_default();
    let names = circle.iter().map(|step| step.layer.as_str());
    let names: Vec<_> = [last].into_iter().chain(names).map(|name| format!("`{name}`")).collect();
    let message = format!("layers inherit each other in a circle: {}", names.join(" → "));
    let problem = Problem::new(circle[0].origin.clone(), message);
    let problem = circle.iter().fold(problem, |problem, step| {
        problem.related(step.origin.clone(), format!("inherits `{}`", step.layer))
    });
    problem.hint("remove one of these lines")
}

fn diamond(layer: &str, first: &[Step], second: &[Step]) -> Problem {
    let shared = first.iter().zip(second).take_while(|(one, other)| one == other).count();
    let here = &second[second.len() - 1];
    let problem = Problem::new(here.origin.clone(), format!("the layer `{layer}` is reached twice"));
    let ways = [("one way", &first[shared..]), ("the other way", &second[shared..])];
    let problem = ways.into_iter().fold(problem, |problem, (way, steps)| {
        steps.iter().fold(problem, |problem, step| {
            problem.related(step.origin.clone(), format!("{way}: inherits `{}`", step.layer))
        })
    });
    problem.hint("inherit it once, in front of everything that builds on it")
}

fn without(node: &Node, keys: &[&str]) -> Node {
    let mut node = node.clone();
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|entry| !keys.contains(&entry.key.as_str()));
    }
    node
}
