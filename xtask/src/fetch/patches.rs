//! Applies patches to a source tree with `git apply`: plain patch files, or mbox series as `git
//! format-patch --stdout` makes them. Each patch is applied whole or not at all, at its line numbers or
//! shifted, never with fuzz.

mod hunks;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{Control, child};

/// A patch that has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub file: PathBuf,
    pub subject: Option<String>,
}

#[derive(Debug)]
pub enum PatchError {
    /// It is no patch, or does not fit the tree. One reason for each file or hunk.
    Failed {
        patch: PatchName,
        reasons: Vec<String>,
        hint: Option<&'static str>,
    },
    /// A file cannot be read, or git cannot be run.
    Io {
        what: String,
        source: io::Error,
    },
    Cancelled,
}

/// What people know a patch by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchName {
    pub file: PathBuf,
    /// Which of how many mails, if the file is a series.
    pub number: Option<(usize, usize)>,
    pub subject: Option<String>,
}

/// Applies the files in order to `tree`. After an error, patches before the failing one have been applied
/// and nothing of the failing one.
pub fn apply(tree: &Path, files: &[PathBuf], control: &Control) -> Result<Vec<Applied>, PatchError> {
    let tree = fs::canonicalize(tree)
        .map_err(|source| PatchError::Io { what: format!("the tree {}", tree.display()), source })?;
    let tool = Tool { tree: &tree, control };
    let mut applied = Vec::new();
    for file in files {
        let content = fs::read(file).map_err(|source| PatchError::Io {
            what: format!("cannot read the patch {}", file.display()),
            source,
        })?;
        for patch in tool.split(file, content)? {
            tool.apply(&patch)?;
            applied.push(Applied { file: file.clone(), subject: patch.name.subject });
        }
    }
    Ok(applied)
}

struct Patch {
    name: PatchName,
    diff: Vec<u8>,
}

struct Tool<'a> {
    tree: &'a Path,
    control: &'a Control<'a>,
}

impl Tool<'_> {
    /// The patches in one file.
    fn split(&self, file: &Path, content: Vec<u8>) -> Result<Vec<Patch>, PatchError> {
        let mut name = PatchName { file: file.to_owned(), number: None, subject: None };
        if content.is_empty() {
            return Err(failed(name, "the file is empty"));
        }
        if content.starts_with(b"From ") {
            return self.split_mails(name);
        }
        if !hunks::has_diff(&content) {
            return Err(failed(
                name,
                "it is no patch: it has neither `diff --git` nor `---` and `+++` lines",
            ));
        }
        name.subject = header_subject(&content);
        Ok(vec![Patch { name, diff: content }])
    }

    /// The mails of a series; a cover letter is left out.
    fn split_mails(&self, series: PatchName) -> Result<Vec<Patch>, PatchError> {
        let folder = tempfile::tempdir().map_err(|source| io_error("a temporary folder", source))?;
        let mut mailsplit = child::git(None);
        let file = fs::canonicalize(&series.file).map_err(|source| io_error("the patch", source))?;
        mailsplit.arg("mailsplit").arg("--keep-cr").arg(format!("-o{}", folder.path().display()));
        mailsplit.arg("--").arg(file).current_dir(folder.path());
        let count = self.run(mailsplit)?.map_err(|answer| failed(series.clone(), &answer))?;
        let count: usize = count.trim().parse().unwrap_or(0);
        let mut patches = Vec::new();
        for number in 1..=count {
            let mail = folder.path().join(format!("{number:04}"));
            patches.extend(self.read_mail(&series, &mail, (number, count))?);
        }
        match patches.is_empty() {
            true => Err(failed(series, "it has no mail with a patch")),
            false => Ok(patches),
        }
    }

    fn read_mail(
        &self,
        series: &PatchName,
        mail: &Path,
        number: (usize, usize),
    ) -> Result<Option<Patch>, PatchError> {
        let (message, diff) = (mail.with_extension("message"), mail.with_extension("diff"));
        let input = fs::File::open(mail).map_err(|source| io_error("a mail of the series", source))?;
        let mut mailinfo = child::git(None);
        mailinfo.args(["mailinfo", "-u"]).arg(message).arg(&diff).stdin(input);
        mailinfo.current_dir(mail.parent().unwrap_or(mail));
        let name = PatchName { number: Some(number), ..series.clone() };
        let info = self.run(mailinfo)?.map_err(|answer| failed(name.clone(), &answer))?;
        let subject = info.lines().find_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned);
        let name = PatchName { subject, ..name };
        let diff = fs::read(diff).map_err(|source| io_error("a mail of the series", source))?;
        if hunks::has_diff(&diff) {
            return Ok(Some(Patch { name, diff }));
        }
        let raw = fs::read(mail).map_err(|source| io_error("a mail of the series", source))?;
        match is_cover_letter(&header_subject(&raw).unwrap_or_default()) {
            true => Ok(None),
            false => Err(failed(name, "the mail has no patch")),
        }
    }

    fn apply(&self, patch: &Patch) -> Result<(), PatchError> {
        let Err(answer) = self.git_apply(patch, &[])? else { return Ok(()) };
        let reversed = self.git_apply(patch, &["--check", "--reverse"])?.is_ok();
        let hint = reversed.then_some("the tree already has this change; leave the patch out");
        let reasons = hunks::explain(&patch.diff, &answer, self.tree);
        Err(PatchError::Failed { patch: patch.name.clone(), reasons, hint })
    }

    fn git_apply(&self, patch: &Patch, options: &[&str]) -> Result<Result<String, String>, PatchError> {
        let file = tempfile::NamedTempFile::new().map_err(|source| io_error("a temporary file", source))?;
        fs::write(&file, &patch.diff).map_err(|source| io_error("a temporary file", source))?;
        let mut apply = child::git(None);
        apply.args(["apply", "-p1", "--whitespace=nowarn"]).args(options).arg("--").arg(file.path());
        // Inside the work tree of some repository above, git would skip every path without a word.
        apply.current_dir(self.tree).env("GIT_CEILING_DIRECTORIES", self.tree.parent().unwrap_or(self.tree));
        self.run(apply)
    }

    /// Standard output, or what git said on failing.
    fn run(&self, command: std::process::Command) -> Result<Result<String, String>, PatchError> {
        let output = child::run(command, self.control).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => PatchError::Cancelled,
            _ => io_error("cannot run git (install the package git)", error),
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }
}

/// The subject in the header of a mail or of a patch with a header like one (DEP-3), unfolded.
fn header_subject(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let mut lines = text.lines().take_while(|line| !line.starts_with("---") && !line.starts_with("diff "));
    let first = lines.find_map(|line| line.strip_prefix("Subject:"))?;
    let mut subject = first.trim().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        subject = format!("{subject} {}", line.trim());
    }
    Some(subject)
}

/// `[PATCH 0/7]`, `[PATCH v3 00/12]`
fn is_cover_letter(subject: &str) -> bool {
    let Some((tag, _)) = subject.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let number = tag.rsplit(' ').next().and_then(|last| last.split_once('/'));
    number.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|digit| digit == b'0'))
}

fn failed(patch: PatchName, reason: &str) -> PatchError {
    PatchError::Failed { patch, reasons: vec![reason.to_owned()], hint: None }
}

fn io_error(what: &str, source: io::Error) -> PatchError {
    PatchError::Io { what: what.to_owned(), source }
}

impl fmt::Display for PatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((number, count)) = self.number {
            write!(f, ", {number} of {count}")?;
        }
        match &self.subject {
            Some(subject) => write!(f, " ({subject})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PatchError::Io { source, .. } => Some(source),
            PatchError::Failed { .. } | PatchError::Cancelled => None,
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatchError::Cancelled => write!(f, "applying patches was stopped"),
            PatchError::Io { what, .. } => write!(f, "{what}"),
            PatchError::Failed { patch, reasons, hint } => {
                write!(f, "cannot apply {patch}")?;
                for reason in reasons {
                    write!(f, "\n  {reason}")?;
                }
                hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
            }
        }
    }
}
