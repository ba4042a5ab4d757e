//! How an error is told, wherever it came from: what failed and why, then what to do about it.

use std::io;

const HINT: &str = "hint: ";

/// A full disk is met in many places, by us and by the programs that we run; what to do is the same everywhere.
const ROOM: &str = "make room, or choose another place with --store DIR or --out DIR";

/// The error with its causes, each said once; hints of the outer ones come last, behind the reason.
pub fn failure(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let mut text = String::new();
    let mut hints = Vec::new();
    for (number, cause) in causes.iter().enumerate() {
        let is_last = number + 1 == causes.len();
        let (message, hint) = if is_last { (cause.as_str(), None) } else { split_hint(cause) };
        hints.extend(hint.map(|hint| hint.trim_end().to_string()));
        // Many an error says its source itself.
        if !text.contains(message) {
            text += if text.is_empty() { "" } else { ": " };
            text += message;
        }
    }
    if is_out_of_room(error, &text) {
        hints.push(ROOM.to_string());
    }
    for hint in hints {
        text += &format!("\n  {HINT}{hint}");
    }
    text
}

/// The hint at the end of an error's own text.
fn split_hint(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(HINT) {
        Some((message, hint)) if message.trim_end_matches(' ').ends_with('\n') => {
            (message.trim_end(), Some(hint))
        }
        _ => (text, None),
    }
}

fn is_out_of_room(error: &anyhow::Error, text: &str) -> bool {
    let is_full =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    // Compilers and linkers say it in their own output, in the words of strerror(3).
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_full))
        || ["No space left on device", "Disk quota exceeded"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, Error, anyhow};
    use expect_test::{Expect, expect};

    use super::*;

    fn check(error: Error, told: Expect) {
        told.assert_eq(&failure(&error));
    }

    fn full() -> Error {
        io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()).into()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write {path}: {source}")]
    struct Write {
        path: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_follow_and_hints_come_last() {
        check(anyhow!("no"), expect!["no"]);
        check(
            anyhow!("no").context("can't read x").context("step `y` failed"),
            expect!["step `y` failed: can't read x: no"],
        );
        check(
            anyhow!("Permission denied").context("can't make /s\n  hint: choose another place"),
            expect![[r#"
                can't make /s: Permission denied
                  hint: choose another place"#]],
        );
        check(
            anyhow!("revision 1 is not here\nhint: run once without --offline").context("step `y` failed"),
            expect![[r#"
                step `y` failed: revision 1 is not here
                hint: run once without --offline"#]],
        );
    }

    #[test]
    fn a_report_with_many_hints_stays_as_it_is() {
        check(
            anyhow!("a.yaml:1:1: wrong\n  hint: a\nb.yaml:1:1: wrong\n  hint: b"),
            expect![[r#"
                a.yaml:1:1: wrong
                  hint: a
                b.yaml:1:1: wrong
                  hint: b"#]],
        );
    }

    #[test]
    fn a_source_that_the_message_has_is_not_said_again() {
        let source = io::Error::other("broken");
        check(Write { path: "/x", source }.into(), expect!["cannot write /x: broken"]);
    }

    #[test]
    fn a_full_disk_has_a_hint_wherever_it_is_met() {
        let told = expect![[r#"
            can't write /s/x: No space left on device (os error 28)
              hint: make room, or choose another place with --store DIR or --out DIR"#]];
        check(full().context("can't write /s/x"), told);
        let source = io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error());
        check(
            Error::from(Write { path: "/x", source }),
            expect![[r#"
                cannot write /x: Disk quota exceeded (os error 122)
                  hint: make room, or choose another place with --store DIR or --out DIR"#]],
        );
        check(
            anyhow!("make failed, first with\nld: final link failed: No space left on device"),
            expect![[r#"
                make failed, first with
                ld: final link failed: No space left on device
                  hint: make room, or choose another place with --store DIR or --out DIR"#]],
        );
        let deep = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull)).context("a").context("b");
        assert!(failure(&deep.unwrap_err()).ends_with(ROOM));
    }
}
