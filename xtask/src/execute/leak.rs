//! Invariant 7: no build path, home folder or user name inside an output.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::{
    plan::{Action, Step},
    store::{OutputKind, StepRecord, WorkDir},
};

/// Fails if a file that this step built holds a path of this machine.
///
/// Compressed outputs can't be looked into; what they are made of has been.
pub fn check(context: &Context, step: &Step, work: &WorkDir, record: &StepRecord) -> Result<()> {
    if !builds(&step.action) {
        return Ok(());
    }
    let scratch = work.scratch();
    let needles = needles(&Place {
        work: scratch.parent().unwrap_or(&scratch),
        store: context.store.root(),
        project: &context.root,
        homes: homes(),
        user: std::env::var("USER").ok().as_deref(),
    });
    for output in record.outputs.iter().filter(|output| output.kind == OutputKind::File) {
        let path = work.out().join(&output.name);
        let content = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        if let Some(leak) = find(&content, &needles) {
            bail!(
                "{} holds {} at byte {}: `{}`\n  hint: an output may not tell where it was built; \
                 find what writes it (a macro with __FILE__, a build script, an option) and map the path away",
                output.name,
                leak.what,
                leak.byte,
                leak.excerpt
            );
        }
    }
    Ok(())
}

/// The home folder as it is called, and where it really is if that is another place.
pub fn homes() -> Vec<PathBuf> {
    let named = std::env::home_dir();
    let real =
        named.as_ref().and_then(|home| home.canonicalize().ok()).filter(|real| Some(real) != named.as_ref());
    named.into_iter().chain(real).collect()
}

/// Steps that run foreign programs which know paths; the others write bytes of ours.
fn builds(action: &Action) -> bool {
    matches!(
        action,
        Action::BuildKernel { .. }
            | Action::BuildPayload { .. }
            | Action::BuildShim { .. }
            | Action::BuildMonitor { .. }
            | Action::BuildLoader { .. }
            | Action::ResolveKconfig { .. }
    )
}

/// What an output must not tell.
struct Place<'a> {
    work: &'a Path,
    store: &'a Path,
    project: &'a Path,
    /// As it is called, and with symbolic links followed.
    homes: Vec<PathBuf>,
    user: Option<&'a str>,
}

struct Needle {
    text: String,
    what: &'static str,
    /// Counts only where no character of a file name follows: `/src/demo` is not in `/src/demolition`.
    whole: bool,
}

struct Leak {
    what: &'static str,
    byte: usize,
    /// From there to the end of the text, at most 160 bytes.
    excerpt: String,
}

fn needles(place: &Place) -> Vec<Needle> {
    let mut needles = Vec::new();
    let folders = [
        (place.work, "the path of its build folder"),
        (place.store, "the path of the store"),
        (place.project, "the path of the project"),
    ];
    for (path, what) in folders {
        // `/src` or `/build` is no telling path, and our own names for mapped paths look like that.
        if path.components().filter(|part| matches!(part, Component::Normal(_))).count() > 1 {
            needles.push(Needle { text: plain(path), what, whole: true });
        }
    }
    // Every kernel has `/root`, but nothing in it; other homes are of one name too (`/home` of a daemon).
    for home in place.homes.iter().map(|home| plain(home)).filter(|home| home.len() > 4) {
        let what = "the path of your home folder";
        needles.push(Needle { text: format!("{home}/"), what, whole: false });
    }
    // The names `root` and `user` say nothing and stand in every kernel.
    if let Some(user) = place.user.filter(|user| user.len() > 3 && !["root", "user"].contains(user)) {
        needles.push(Needle { text: format!("{user}@"), what: "your user name", whole: false });
    }
    needles
}

fn plain(path: &Path) -> String {
    path.to_string_lossy().trim_end_matches('/').to_string()
}

fn find(content: &[u8], needles: &[Needle]) -> Option<Leak> {
    needles.iter().find_map(|needle| {
        let mut places = memchr::memmem::find_iter(content, needle.text.as_bytes());
        let byte = places.find(|place| {
            let next = content.get(place + needle.text.len());
            !needle.whole || !next.is_some_and(|&byte| is_of_name(byte))
        })?;
        Some(Leak { what: needle.what, byte, excerpt: excerpt(content, byte) })
    })
}

/// Characters that go on a file's name, rather than end it.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte) || byte >= 0x80
}

fn excerpt(content: &[u8], place: usize) -> String {
    let text = &content[place..];
    let end = text.iter().position(|byte| !(0x20..0x7f).contains(byte)).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end.min(160)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place<'static> {
        Place {
            work: Path::new("/home/ada/.cache/vtlforge/v1/work/0123-4-0"),
            store: Path::new("/home/ada/.cache/vtlforge/v1"),
            project: Path::new("/srv/images/"),
            homes: Vec::new(),
            user: None,
        }
    }

    #[track_caller]
    fn check(place: &Place, content: &[u8], found: Option<(&str, usize, &str)>) {
        let leak = find(content, &needles(place));
        let leak = leak.as_ref().map(|leak| (leak.what, leak.byte, leak.excerpt.as_str()));
        assert_eq!(leak, found, "{}", String::from_utf8_lossy(content));
    }

    #[test]
    fn folders_are_found_with_and_without_what_is_in_them() {
        let work = "the path of its build folder";
        let in_work = b"\0/home/ada/.cache/vtlforge/v1/work/0123-4-0/build/a.c\0x";
        check(&place(), in_work, Some((work, 1, "/home/ada/.cache/vtlforge/v1/work/0123-4-0/build/a.c")));
        // DWARF names the folder of compilation without a slash at its end.
        check(&place(), &in_work[..43], Some((work, 1, "/home/ada/.cache/vtlforge/v1/work/0123-4-0")));
        let store = b"--x=/home/ada/.cache/vtlforge/v1/steps/k";
        check(&place(), store, Some(("the path of the store", 4, "/home/ada/.cache/vtlforge/v1/steps/k")));
        check(&place(), b"a /srv/images\n", Some(("the path of the project", 2, "/srv/images")));
        check(&place(), b"/srv/images: b", Some(("the path of the project", 0, "/srv/images: b")));
    }

    #[test]
    fn what_only_begins_alike_is_no_leak() {
        for harmless in [&b"/srv/images-of-others/a"[..], b"/srv/images2", b"/srv/image", b"srv/images/", b""]
        {
            check(&place(), harmless, None);
        }
        check(
            &place(),
            b"/srv/images2 /srv/images/a",
            Some(("the path of the project", 13, "/srv/images/a")),
        );
    }

    #[test]
    fn folders_that_tell_nothing_are_not_looked_for() {
        let place = Place { project: Path::new("/build"), ..place() };
        check(&place, b"/build/src/main.rs", None);
    }

    #[test]
    fn homes_and_users() {
        let root = Place { homes: vec!["/anna".into()], user: Some("root"), ..place() };
        check(&root, b"/anna\0root@", None);
        check(&root, b"\0/anna/.cargo/x", Some(("the path of your home folder", 1, "/anna/.cargo/x")));
        let homes = vec!["/home/ada/".into(), "/data/ada".into()];
        let ada = Place { homes, user: Some("lovelace"), ..place() };
        check(&ada, b"/home/ada/src", Some(("the path of your home folder", 0, "/home/ada/src")));
        check(&ada, b"/data/ada/src", Some(("the path of your home folder", 0, "/data/ada/src")));
        check(&ada, b"Linux (lovelace@engine)", Some(("your user name", 7, "lovelace@engine)")));
        for (home, user) in [("/", "ada"), ("/srv", "user")] {
            let place = Place { homes: vec![home.into()], user: Some(user), ..place() };
            check(&place, b"/etc /srv/x ada@ user@", None);
        }
    }

    #[test]
    fn excerpts_are_text_of_a_bounded_length() {
        let long = [b"/srv/images/".repeat(40), vec![0]].concat();
        assert_eq!(find(&long, &needles(&place())).map(|leak| leak.excerpt.len()), Some(160));
        check(&place(), b"/srv/images/\x01\xff", Some(("the path of the project", 0, "/srv/images/")));
    }
}
