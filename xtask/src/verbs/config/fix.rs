//! `config check --fix`: the lines that save lost requests, written into the fragments that ask for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kconfig::{
    Fill, Graph, Request,
    explain::{Asked, Remedy, Requests, is_honoured},
};

use super::open;
use crate::{
    execute::Engines,
    kernel::{Composed, DotConfig, asked, verify::verify},
    plan::ProfileInput,
    profile::{Project, Spec},
    report::failure,
    verbs::{Selection, Session, SessionOptions, session},
};

/// Mends what can be mended, all of it or nothing; fails if anything is left that can't.
pub fn run(selection: &Selection, options: &SessionOptions) -> Result<()> {
    let project = Project::find()?;
    let wanted = session::specs(&project, selection)?;
    let mut everything = open(&sharing(&project, &wanted)?, options)?;
    let is_wanted = |profile: &&ProfileInput| wanted.iter().any(|spec| spec.name == profile.spec.name);
    let engines = Engines::open(&everything.context, &everything.plan, &mut everything.last)?;
    let mut mended =
        Mended { project: &project, session: &everything, engines: &engines, files: BTreeMap::new() };
    let (mut told, mut errors) = (Vec::new(), Vec::new());
    for profile in everything.profiles.iter().filter(is_wanted) {
        match mended.mend(profile) {
            Ok(said) => told.extend(said),
            Err(error) => errors.push(failure(&error)),
        }
    }
    for profile in &everything.profiles {
        mended.check(profile)?;
    }
    mended.write()?;
    told.iter().for_each(|line| println!("{line}"));
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
    if told.is_empty() {
        println!("nothing to mend: every request survives");
    }
    Ok(())
}

/// Every profile that has a fragment of one of `wanted`.
fn sharing(project: &Project, wanted: &[Spec]) -> Result<Selection> {
    let fragments: BTreeSet<String> =
        wanted.iter().flat_map(|spec| &spec.kernel.fragments).map(ToString::to_string).collect();
    let all = session::specs(project, &Selection { profiles: Vec::new(), all: true })?;
    let shares =
        |spec: &&Spec| spec.kernel.fragments.iter().any(|name| fragments.contains(&name.to_string()));
    let named = |spec: &&Spec| wanted.iter().any(|wanted| wanted.name == spec.name);
    let profiles = all.iter().filter(|spec| shares(spec) || named(spec)).map(|spec| spec.name.to_string());
    Ok(Selection { profiles: profiles.collect(), all: false })
}

/// Fragments with lines added, in memory.
struct Mended<'a> {
    project: &'a Project,
    session: &'a Session,
    engines: &'a Engines,
    /// New texts, by path relative to the project.
    files: BTreeMap<String, String>,
}

impl Mended<'_> {
    fn graph(&self, profile: &ProfileInput) -> &Graph {
        self.engines.of(super::config_step(&self.session.plan, &profile.spec.name)).0.graph()
    }

    fn composed(&self, profile: &ProfileInput) -> Result<Composed> {
        let instead = |path: &str| self.files.get(path).map(String::as_str);
        session::compose(self.project, &profile.spec, instead).with_context(|| {
            let name = &profile.spec.name;
            format!("the lines that would help don't agree with {name}, which has the same fragment")
        })
    }

    /// Adds what `profile` needs; what is said of it.
    fn mend(&mut self, profile: &ProfileInput) -> Result<Option<String>> {
        let (name, composed) = (&profile.spec.name, self.composed(profile)?);
        let graph = self.graph(profile);
        let dot_config = asked::requests(graph, &composed).solve().dot_config();
        let Err(lost) = verify(&composed, &DotConfig::parse(&"kernel.config".into(), &dot_config)?) else {
            return Ok(None);
        };
        let lost = lost.explained(graph, &composed, |_| None);
        let Some(Remedy::Lines { lines, .. }) = &lost.remedy else {
            return Err(anyhow!("{lost}").context(name.to_string()));
        };
        let file = lost.lost[0].fragment.rsplit_once(':').context("a place has a line")?.0.to_string();
        let text = match self.files.get(&file) {
            Some(text) => text.clone(),
            None => std::fs::read_to_string(self.project.root.join(&file))
                .with_context(|| format!("can't read {file}"))?,
        };
        let added = with_lines(&text, &reasons(graph, &composed, lines)?);
        let said = format!("{file}: {} added for {name}: {}", count(lines.len()), lines.join(", "));
        self.files.insert(file, added);
        Ok(Some(said))
    }

    /// Fails if the new texts would make a profile lose what it has.
    fn check(&self, profile: &ProfileInput) -> Result<()> {
        let uses = |name: &str| self.files.contains_key(&session::fragment_path(name));
        if !profile.spec.kernel.fragments.iter().any(|name| uses(name)) {
            return Ok(());
        }
        let graph = self.graph(profile);
        let (before, after) = (lost(graph, &profile.composed), lost(graph, &self.composed(profile)?));
        let new: Vec<&str> = after.difference(&before).map(String::as_str).collect();
        ensure!(
            new.is_empty(),
            "the lines that would help would cost {}, which has the same fragment, {}\n  \
             hint: put them into a fragment of the profile's own",
            profile.spec.name,
            new.join(", ")
        );
        Ok(())
    }

    /// Each file is replaced as a whole.
    fn write(&self) -> Result<()> {
        for (file, text) in &self.files {
            let path = self.project.root.join(file);
            let folder = path.parent().context("a fragment is in a folder")?;
            let mut new = tempfile::NamedTempFile::new_in(folder)
                .with_context(|| format!("can't write into {}", folder.display()))?;
            new.write_all(text.as_bytes()).with_context(|| format!("can't write {file}"))?;
            new.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
            new.persist(&path).with_context(|| format!("can't replace {file}"))?;
        }
        Ok(())
    }
}

fn count(lines: usize) -> String {
    if lines == 1 { "1 line".into() } else { format!("{lines} lines") }
}

/// The text with a paragraph a line, each under its reason.
fn with_lines(text: &str, lines: &[(String, String)]) -> String {
    let mut text = format!("{}\n", text.trim_end());
    for (line, reason) in lines {
        text.push_str(&format!("\n# {reason}\n{line}\n"));
    }
    text
}

/// Each line with the requests that are lost without it.
fn reasons(graph: &Graph, composed: &Composed, lines: &[String]) -> Result<Vec<(String, String)>> {
    let asked: Vec<Asked> = asked::requests(graph, composed).asked().cloned().collect();
    let wishes: Vec<Asked> = lines.iter().map(|line| wish(graph, line)).collect::<Result<_>>()?;
    let reason = |without: usize| {
        let others = wishes.iter().enumerate().filter(|&(number, _)| number != without);
        let all = asked.iter().chain(others.map(|(_, wish)| wish)).cloned().collect();
        let solution = Requests::new(graph, Fill::No, all).solve();
        let lost = asked.iter().filter(|asked| !is_honoured(&solution, asked.symbol, &asked.wanted));
        let lost: Vec<String> = lost.map(|asked| format!("CONFIG_{}", graph.name(asked.symbol))).collect();
        match &lost[..] {
            [one] => format!("Without it {one} doesn't come about."),
            many => format!("Without it these don't come about: {}.", many.join(", ")),
        }
    };
    Ok(lines.iter().enumerate().map(|(number, line)| (line.clone(), reason(number))).collect())
}

/// A line of a fragment.
fn wish(graph: &Graph, line: &str) -> Result<Asked> {
    let off = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set"));
    let (name, value) = match off {
        Some(name) => (name, "n"),
        None => line.split_once('=').with_context(|| format!("`{line}` sets nothing"))?,
    };
    let symbol = graph.declared(asked::bare(name)).with_context(|| format!("{name} is not declared"))?;
    let mut request = Request::new(graph);
    request.set(symbol, value).map_err(|text| anyhow!(text))?;
    let wanted = request.wanted(symbol).cloned().with_context(|| format!("`{line}` asks for nothing"))?;
    Ok(Asked { symbol, wanted, origin: "a remedy".into() })
}

fn lost(graph: &Graph, composed: &Composed) -> BTreeSet<String> {
    let requests = asked::requests(graph, composed);
    let solution = requests.solve();
    let lost = requests.asked().filter(|asked| !is_honoured(&solution, asked.symbol, &asked.wanted));
    lost.map(|asked| format!("CONFIG_{}", graph.name(asked.symbol))).collect()
}
