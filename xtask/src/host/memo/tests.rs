use std::time::{Duration, SystemTime};

use super::*;

/// How often an answer had to be computed for one file, memo kept on disk between the questions.
fn asked(folder: &Path, trust: Trust, change: impl Fn(&Path)) -> u32 {
    let (file, memo) = (folder.join("tool"), folder.join("store/memo"));
    let mut count = 0;
    let mut ask = |trust| {
        let mut memo = Memo::load(&memo, trust);
        let answer = memo.get("key", |watch| {
            watch.on(&file);
            watch.on(&folder.join("absent"));
            count += 1;
            io::Result::Ok("answer".to_owned())
        });
        assert_eq!(answer.unwrap(), "answer");
        memo.save().unwrap();
    };
    ask(Trust::TimeStamps);
    change(folder);
    ask(trust);
    count
}

#[test]
fn answers_hold_until_a_watched_file_changes() {
    type Change = (&'static str, Trust, u32, fn(&Path));
    let cases: [Change; 7] = [
        ("nothing", Trust::TimeStamps, 1, |_| {}),
        ("paranoid", Trust::Nothing, 2, |_| {}),
        ("content", Trust::TimeStamps, 2, |f| std::fs::write(f.join("tool"), "two").unwrap()),
        ("removed", Trust::TimeStamps, 2, |f| std::fs::remove_file(f.join("tool")).unwrap()),
        ("appeared", Trust::TimeStamps, 2, |f| std::fs::write(f.join("absent"), "").unwrap()),
        ("truncated memo", Trust::TimeStamps, 2, |f| {
            let text = std::fs::read_to_string(f.join("store/memo")).unwrap();
            std::fs::write(f.join("store/memo"), &text[..text.len() - 5]).unwrap();
        }),
        ("garbage memo", Trust::TimeStamps, 2, |f| {
            std::fs::write(f.join("store/memo"), b"\xff\0=\t\n").unwrap()
        }),
    ];
    // A stable file is needed; it settles once for all cases.
    let folders: Vec<tempfile::TempDir> = cases.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    for folder in &folders {
        std::fs::write(folder.path().join("tool"), "one").unwrap();
    }
    std::thread::sleep(SETTLING + Duration::from_secs(1));
    for ((name, trust, expected, change), folder) in cases.into_iter().zip(&folders) {
        assert_eq!(asked(folder.path(), trust, change), expected, "{name}");
    }
}

#[test]
fn a_file_of_this_very_moment_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tool"), "one").unwrap();
    assert_eq!(asked(folder.path(), Trust::TimeStamps, |_| {}), 2);
}

/// Damage that leaves the table whole: an answer without all that it was read from isn't believed.
#[test]
fn lines_that_lost_a_part_are_not_believed() {
    for (line, wanted) in [
        ("value", Some("value")),
        ("value\t/absent/a\tabsent", Some("value")),
        ("value\t/absent/a\tabsent\t/absent/b", None),
        ("value\t/absent/a\tabsurd", None),
        ("value\t/absent/a\t1 2 3 4 5 6 7", None),
        ("value\t/absent/a", None),
    ] {
        assert_eq!(if_it_holds(line), wanted, "{line}");
    }
}

#[test]
fn events_are_remembered_for_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memo");
    let now = SystemTime::now();
    let mut memo = Memo::load(&path, Trust::TimeStamps);
    memo.note("tried", now);
    memo.save().unwrap();
    let memo = Memo::load(&path, Trust::TimeStamps);
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(memo.noted("tried", day, now + Duration::from_secs(60)));
    assert!(!memo.noted("tried", day, now + day));
    // A clock that was set back makes the note worthless, not eternal.
    assert!(!memo.noted("tried", day, now - Duration::from_secs(60)));
    assert!(!memo.noted("other", day, now));
}
