//! A tree from a Git revision: fetched by the `git` command, exported without `.git` and exactly as
//! committed, whatever the user's configuration and the attributes in the tree say.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Control,
    archive::{ArchiveError, Options, Unpacked, unpack_tar},
    child,
    location::redact_text,
};

/// Transports that git may use; `ext::` and other remote helpers run programs.
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// Overrides every attribute by which `git archive` would write something else than what is committed.
/// `$GIT_DIR/info/attributes` wins over the tree (gitattributes(5)).
const EXACT_ATTRIBUTES: &str = "* -export-ignore -export-subst -text -ident -filter -working-tree-encoding\n";

#[derive(Clone, Copy, Debug)]
pub struct GitWanted<'a> {
    /// `https:`, `http:`, `ssh:`, `git:` or `file:` address, `user@host:path`, or an absolute path.
    pub url: &'a str,
    /// Full commit id: 40 or 64 hexadecimal digits.
    pub revision: &'a str,
}

/// An exported tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub unpacked: Unpacked,
    /// Folders that are submodules; they are left empty.
    pub submodules: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git address {shown:?}: {reason}")]
    BadAddress { shown: String, reason: &'static str },
    #[error(
        "git revision {0:?} is not a full commit id (40 or 64 hexadecimal digits); branches and tags move"
    )]
    BadRevision(String),
    #[error("cannot run git: {0}; install the package git")]
    NoGit(io::Error),
    #[error(
        "cannot fetch {revision} from {url}\n{answer}\nhint: is the revision pushed, and reachable from a branch or tag there?"
    )]
    Fetch { url: String, revision: String, answer: String },
    #[error(
        "{url} has no commit {revision}; its branches and tags have been fetched whole\nhint: is it pushed, and reachable from a branch or tag there?"
    )]
    NoSuchRevision { url: String, revision: String },
    #[error("git {command} failed: {answer}")]
    Failed { command: &'static str, answer: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Unpack(#[from] ArchiveError),
    #[error("fetching {url} was stopped")]
    Cancelled { url: String },
}

/// Fetches the revision into a repository made in `scratch` (a fresh, empty directory of the caller, who
/// removes it) and exports its tree to `target`. `options.strip_top` has no meaning here.
pub fn export(
    wanted: &GitWanted,
    scratch: &Path,
    target: &Path,
    options: &Options,
    control: &Control,
) -> Result<Exported, GitError> {
    check_address(wanted.url)?;
    check_revision(wanted.revision)?;
    let repository = Repository { path: scratch.join("repository.git"), wanted, control };
    repository.create()?;
    repository.fetch()?;
    repository.export(target, &Options { strip_top: false, ..*options })
}

/// Refuses what git would take for an option or hand to a helper program.
pub fn check_address(url: &str) -> Result<(), GitError> {
    let bad = |reason| Err(GitError::BadAddress { shown: redact_text(url), reason });
    if url.is_empty() || url.starts_with('-') {
        return bad("it is empty or looks like an option");
    }
    if url.contains(|character: char| character.is_control()) {
        return bad("it has control characters");
    }
    if url.starts_with('/') {
        return Ok(());
    }
    match (url.split_once("://"), url.split_once(':')) {
        (Some((scheme, rest)), _) if SCHEMES.contains(&scheme) => match rest.starts_with('-') {
            true => bad("its host looks like an option"),
            false => Ok(()),
        },
        (Some(_), _) => bad("only https, http, ssh, git and file are supported"),
        (None, Some((host, path))) if !host.contains('/') && !path.starts_with([':', '-']) => Ok(()),
        _ => bad("it is neither an address, nor user@host:path, nor an absolute path"),
    }
}

fn check_revision(revision: &str) -> Result<(), GitError> {
    let digits = revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match digits && matches!(revision.len(), 40 | 64) {
        true => Ok(()),
        false => Err(GitError::BadRevision(revision.to_owned())),
    }
}

struct Repository<'a> {
    path: PathBuf,
    wanted: &'a GitWanted<'a>,
    control: &'a Control<'a>,
}

impl Repository<'_> {
    fn create(&self) -> Result<(), GitError> {
        let format = if self.wanted.revision.len() == 64 { "sha256" } else { "sha1" };
        let mut init = child::git(None);
        init.args(["init", "--quiet", "--bare", "--template=", "--object-format", format, "--"])
            .arg(&self.path);
        self.done("init", self.run(init)?)?;
        let attributes = self.path.join("info/attributes");
        fs::create_dir_all(self.path.join("info"))
            .and_then(|()| fs::write(&attributes, EXACT_ATTRIBUTES))
            .map_err(|source| GitError::Io { path: attributes, source })
    }

    /// The one commit without history if the server gives it, otherwise everything it shows.
    fn fetch(&self) -> Result<(), GitError> {
        let GitWanted { url, revision } = *self.wanted;
        let mut shallow = self.git(["fetch", "--quiet", "--no-tags", "--depth", "1", "--", url]);
        shallow.arg(revision);
        if self.run(shallow)?.is_ok() && self.has_revision()? {
            return Ok(());
        }
        let mut full = self.git(["fetch", "--quiet", "--no-tags", "--", url]);
        full.args(["+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*"]);
        let (shown, revision) = (redact_text(url), revision.to_owned());
        if let Err(answer) = self.run(full)? {
            let answer = indent(&answer.replace(url, &shown));
            return Err(GitError::Fetch { url: shown, revision, answer });
        }
        match self.has_revision()? {
            true => Ok(()),
            false => Err(GitError::NoSuchRevision { url: shown, revision }),
        }
    }

    /// Whether the commit itself is there; its id is the hash of all it holds, which git checks on arrival.
    fn has_revision(&self) -> Result<bool, GitError> {
        let commit = format!("{}^{{commit}}", self.wanted.revision);
        let found = self.run(self.git(["rev-parse", "--quiet", "--verify", "--end-of-options", &commit]))?;
        Ok(found.is_ok_and(|id| id.trim() == self.wanted.revision))
    }

    fn export(&self, target: &Path, options: &Options) -> Result<Exported, GitError> {
        let submodules = self.submodules()?;
        let mut archive = self.git(["archive", "--format=tar", self.wanted.revision]);
        archive.stdout(Stdio::piped()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut archive, 0);
        let mut child = archive.spawn().map_err(GitError::NoGit)?;
        let Some(stream) = child.stdout.take() else {
            return Err(GitError::Failed { command: "archive", answer: "no output".to_owned() });
        };
        let name = format!("{} of {}", self.wanted.revision, redact_text(self.wanted.url));
        let unpacked = match unpack_tar(&name, Box::new(stream), target, options, self.control) {
            Ok(unpacked) => unpacked,
            Err(error) => {
                child::kill_group(&mut child);
                return Err(error.into());
            }
        };
        let status = child::wait(&mut child, self.control).map_err(|error| self.stopped(error))?;
        match status.success() {
            true => Ok(Exported { unpacked, submodules }),
            false => Err(GitError::Failed { command: "archive", answer: status.to_string() }),
        }
    }

    /// Entries of mode 160000: commits of other repositories.
    fn submodules(&self) -> Result<Vec<PathBuf>, GitError> {
        let listing = self.run(self.git(["ls-tree", "-r", "-z", "--full-tree", self.wanted.revision]))?;
        let listing = self.done("ls-tree", listing)?;
        let paths = listing.split('\0').filter(|entry| entry.starts_with("160000 "));
        Ok(paths.filter_map(|entry| entry.split_once('\t')).map(|(_, path)| PathBuf::from(path)).collect())
    }

    fn git<'s>(&self, arguments: impl IntoIterator<Item = &'s str>) -> Command {
        let mut git = child::git(Some(&self.path));
        git.args(arguments);
        git
    }

    /// Standard output, or what git said on failing.
    fn run(&self, command: Command) -> Result<Result<String, String>, GitError> {
        let output = child::run(command, self.control).map_err(|error| self.stopped(error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }

    fn done(&self, command: &'static str, result: Result<String, String>) -> Result<String, GitError> {
        result.map_err(|answer| GitError::Failed { command, answer: answer.trim().to_owned() })
    }

    fn stopped(&self, error: io::Error) -> GitError {
        match error.kind() {
            io::ErrorKind::Interrupted => GitError::Cancelled { url: redact_text(self.wanted.url) },
            _ => GitError::NoGit(error),
        }
    }
}

fn indent(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
