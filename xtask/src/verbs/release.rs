//! `cargo xtask release`: bundles that others can check.

mod check;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use release::{
    bundle::{Collection, FORMAT, NOTES, RELEASE, Release, Source},
    check::strangers,
};

use super::{Access, Selection, Session, SessionOptions};
use crate::{
    bundle::{self, Bundle, Key, Signer, Writer},
    execute::{Context, Outcomes},
    export::{Place, Strangers},
    profile::{Project, Spec, types::IgvmPolicy},
    remote::RemoteOptions,
    report::{Reporter, bytes},
};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReleaseVerb {
    #[command(subcommand)]
    check: Option<Verb>,
    #[command(flatten)]
    make: Make,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Check a bundle: nothing else of it is needed, and of this machine ssh-keygen
    Check(check::Check),
}

#[derive(Args, Debug)]
struct Make {
    #[command(flatten)]
    selection: Selection,
    /// Sign with this private key of OpenSSH, with the agent's half of this public one, or with the agent's only key
    #[arg(long, value_name = "FILE|agent", value_parser = |text: &str| Ok::<_, String>(Key::parse(text)))]
    key: Option<Key>,
    /// Where bundles go: DIR/PROFILE, of a pair DIR/PAIR with both, with --all DIR/all [default: the project's out/release/]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The bundle that the notes compare with, or `none` [default: the one in whose place this comes]
    #[arg(long, value_name = "DIR|none")]
    since: Option<PathBuf>,
    /// Even if files of the project differ from the revision that the bundle names
    #[arg(long)]
    allow_modified: bool,
    /// Even if a profile lets the host look into its guest (`igvm.policy: debug`)
    #[arg(long)]
    allow_debug: bool,
    /// Build with the tools of this machine: the bundle says so, and on others its bytes may be different ones
    #[arg(long, conflicts_with = "hermetic")]
    host_tools: bool,
    #[command(flatten)]
    options: SessionOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// Name of the folder with all profiles.
const ALL: &str = "all";

pub fn run(arguments: &ReleaseVerb) -> Result<ExitCode> {
    match &arguments.check {
        Some(Verb::Check(arguments)) => check::run(arguments),
        None => make(&arguments.make).map(|()| ExitCode::SUCCESS),
    }
}

fn make(arguments: &Make) -> Result<()> {
    let reporter = Arc::new(Reporter::new(false));
    let signer = arguments.key.as_ref().map(Signer::find).transpose()?;
    let options = SessionOptions { hermetic: !arguments.host_tools, ..arguments.options.clone() };
    let mut session = Session::open(&arguments.selection, &options, Access::Build, reporter.clone())?;
    let Context { offline, tools, .. } = &session.context;
    session.context.remote = arguments.remote.open(*offline, tools, &reporter)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    if !arguments.allow_debug {
        refuse_debug(&session)?;
    }
    let source = bundle::source(session.context.tools.host())?;
    if source.modified && !arguments.allow_modified {
        bail!(
            "files of the project differ from the revision that the release would name, {}\n  \
             hint: commit them, or take --allow-modified for a release that says so",
            &source.revision[..12]
        );
    }
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => session.context.root.join("out/release"),
    };
    let maker = Maker { out, since: Since::of(arguments)?, source, signer };
    let wanted = wanted(&arguments.selection, &session)?;
    maker.check_places(&wanted)?;
    session.build(|session, outcomes| {
        wanted.iter().try_for_each(|wanted| match wanted {
            Wanted::Profile(name) => maker.single(session, outcomes, name),
            Wanted::Collection { name, title, profiles } => {
                maker.collection(session, outcomes, name, title, profiles)
            }
        })
    })?;
    Ok(())
}

/// A folder that is made.
enum Wanted {
    /// The bundle of this profile.
    Profile(String),
    /// Bundles of these profiles in one, which is called `title` in its notes.
    Collection { name: String, title: String, profiles: Vec<String> },
}

impl Wanted {
    fn name(&self) -> &str {
        match self {
            Wanted::Profile(name) | Wanted::Collection { name, .. } => name,
        }
    }
}

fn wanted(selection: &Selection, session: &Session) -> Result<Vec<Wanted>> {
    let all = || session.profiles.iter().map(|profile| profile.spec.name.clone());
    if selection.all {
        let (name, title) = (ALL.to_owned(), "vtlforge".to_owned());
        return Ok(vec![Wanted::Collection { name, title, profiles: all().collect() }]);
    }
    let mut wanted = Vec::new();
    let project = Project { root: session.context.root.clone() };
    // Without any it is the default's.
    let names = if selection.profiles.is_empty() { all().collect() } else { selection.profiles.clone() };
    for name in names {
        if wanted.iter().any(|known: &Wanted| known.name() == name) {
            continue;
        }
        wanted.push(match super::session::pair(&project, &name)? {
            Some(pair) => {
                let profiles = pair.parts().map(str::to_owned).to_vec();
                Wanted::Collection { title: name.clone(), name, profiles }
            }
            None => Wanted::Profile(name),
        });
    }
    Ok(wanted)
}

/// What the host can look into is for whoever works on it, and easily taken for what others should run.
fn refuse_debug(session: &Session) -> Result<()> {
    let is_debug = |spec: &Spec| spec.igvm.as_ref().is_some_and(|igvm| igvm.policy == IgvmPolicy::Debug);
    let debug = session.profiles.iter().map(|profile| &profile.spec).find(|spec| is_debug(spec));
    let Some(spec) = debug else { return Ok(()) };
    let place = spec.origin("igvm.policy").map_or(spec.file.to_string(), ToString::to_string);
    bail!(
        "{place}: {} lets the host look into its guest, which is no release for others\n  \
         hint: take `policy: debug` out, or --allow-debug if it is meant",
        spec.name
    )
}

/// What the notes compare with.
enum Since {
    InPlace,
    Nothing,
    Folder(PathBuf),
}

impl Since {
    fn of(arguments: &Make) -> Result<Since> {
        Ok(match &arguments.since {
            None => Since::InPlace,
            Some(none) if none.as_os_str() == "none" => Since::Nothing,
            Some(folder) if folder.join(RELEASE).is_file() => Since::Folder(std::path::absolute(folder)?),
            Some(folder) => bail!("--since: {} is no release: it has no {RELEASE}", folder.display()),
        })
    }

    /// The bundle of `profile`, where `place` is the one that will be replaced.
    fn bundle(&self, place: &Path, profile: &str) -> Option<PathBuf> {
        let folder = match self {
            Since::Nothing => return None,
            Since::InPlace => place.to_path_buf(),
            // A collection, or one bundle.
            Since::Folder(folder) if folder.join(profile).is_dir() => folder.join(profile),
            Since::Folder(folder) => folder.clone(),
        };
        folder.join(RELEASE).is_file().then_some(folder)
    }
}

struct Maker {
    out: PathBuf,
    since: Since,
    source: Source,
    signer: Option<Signer>,
}

impl Maker {
    fn place(&self, name: &str) -> Place {
        Place::new(&self.out, name, Strangers::Removed)
    }

    /// What stands where bundles go has to be a release with nothing else in it.
    fn check_places(&self, wanted: &[Wanted]) -> Result<()> {
        for wanted in wanted {
            let folder = self.out.join(wanted.name());
            if !folder.exists() {
                continue;
            }
            let strange = strangers(&folder).map_err(|problem| {
                anyhow::anyhow!(
                    "{problem}\n  hint: move {} away, or choose another place with --out DIR",
                    folder.display()
                )
            })?;
            if let Some(first) = strange.first() {
                bail!(
                    "{} is of no release, and would be lost with the one that is replaced\n  \
                     hint: move it away, or choose another place with --out DIR",
                    folder.join(first).display()
                );
            }
        }
        // A place that can't be made should show before the kernel is built, not after.
        std::fs::create_dir_all(&self.out).with_context(|| {
            format!("can't make {}\n  hint: choose another place with --out DIR", self.out.display())
        })
    }

    fn single(&self, session: &Session, outcomes: &Outcomes, name: &str) -> Result<()> {
        let place = self.place(name);
        let fresh = place.open(|| self.waiting(session, name))?;
        let made = self.bundle(session, outcomes, name, fresh.root(), &self.out.join(name))?;
        fresh.publish()?;
        self.tell(session, name, &made);
        Ok(())
    }

    fn collection(
        &self,
        session: &Session,
        outcomes: &Outcomes,
        whole_name: &str,
        title: &str,
        profiles: &[String],
    ) -> Result<()> {
        let place = self.place(whole_name);
        let fresh = place.open(|| self.waiting(session, whole_name))?;
        let mut whole = Writer::new(fresh.root());
        let mut notes = format!("# {title} {}\n", self.source.version);
        for name in profiles {
            let folder = fresh.path(name);
            std::fs::create_dir(&folder).with_context(|| format!("can't make {}", folder.display()))?;
            let last = self.out.join(whole_name).join(name);
            let made = self.bundle(session, outcomes, name, &folder, &last)?;
            for (file, (digest, size_bytes)) in bundle::listed(&folder, &made)? {
                whole.add(&format!("{name}/{file}"), digest, size_bytes);
            }
            let path = folder.join(NOTES);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            notes += &format!("\n{}", text.replace("\n## ", "\n### ").replacen("# ", "## ", 1));
        }
        whole.write(NOTES, &notes)?;
        let profiles = profiles.to_vec();
        let collection = Collection { format: FORMAT, source: self.source.clone(), profiles };
        whole.write(RELEASE, &Release::Collection(collection).text())?;
        let made = whole.seal(self.signer.as_ref())?;
        fresh.publish()?;
        self.tell(session, whole_name, &made);
        Ok(())
    }

    /// Fills `folder` with the bundle of a profile; `last` is where the one before it is, if there is one.
    fn bundle(
        &self,
        session: &Session,
        outcomes: &Outcomes,
        name: &str,
        folder: &Path,
        last: &Path,
    ) -> Result<Bundle> {
        let mut profiles = session.profiles.iter();
        let profile =
            profiles.find(|profile| profile.spec.name == name).expect("all that is wanted was loaded");
        let (plan, outcomes) = session.part(profile, outcomes);
        let before = self.since.bundle(last, &profile.spec.name);
        let job = bundle::Job {
            context: &session.context,
            plan: &plan,
            outcomes: &outcomes,
            spec: &profile.spec,
            source: &self.source,
            before: before.as_deref(),
            signer: self.signer.as_ref(),
        };
        bundle::assemble(&job, folder)
    }

    fn waiting(&self, session: &Session, name: &str) {
        let folder = self.out.join(name);
        session
            .context
            .reporter
            .note(&format!("  wait   another release is written to {}", folder.display()));
    }

    fn tell(&self, session: &Session, name: &str, made: &Bundle) {
        let reporter = &session.context.reporter;
        let signed = if self.signer.is_some() { "signed" } else { "UNSIGNED" };
        let (files, size) = (made.sums.0.len(), bytes(made.size_bytes));
        let folder = self.out.join(name);
        reporter.print(&format!(
            "{}/  {}: {files} files, {size}, {signed}",
            folder.display(),
            self.source.version
        ));
    }
}
