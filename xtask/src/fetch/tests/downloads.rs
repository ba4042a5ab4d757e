//! Downloads from servers that are broken, slow, lying or gone.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use expect_test::{Expect, expect};

use super::{
    QUIET, impatient, noise,
    server::{Act, Act::*, Server},
    sha256,
};
use crate::fetch::{
    Control, Location,
    download::{Download, DownloadError, Downloader},
};

const SIZE: usize = 10_000;

/// The state before a download.
struct Before {
    /// What an earlier run has left.
    part: Option<Vec<u8>>,
    pinned_size: Option<u64>,
}

const FRESH: Before = Before { part: None, pinned_size: Some(SIZE as u64) };
const UNSIZED: Before = Before { part: None, pinned_size: None };

fn part(bytes: &[u8]) -> Before {
    Before { part: Some(bytes.to_vec()), pinned_size: Some(SIZE as u64) }
}

/// Downloads 10,000 bytes from /a, /b, … of one server, each acting as told, and compares what was asked,
/// what came out and what is left on the disk.
fn check(before: Before, acts: &[&[Act]], expected: Expect) {
    let content = noise(SIZE);
    let paths = ["/a", "/b", "/c"];
    let site = paths.iter().zip(acts).map(|(path, acts)| (*path, content.clone(), acts.to_vec())).collect();
    check_site(before, Server::start(site), &paths[..acts.len()], expected);
}

fn check_site(before: Before, server: Server, paths: &[&str], expected: Expect) {
    let content = noise(SIZE);
    let folder = tempfile::tempdir().expect("a folder");
    let (dest, part) = (folder.path().join("file"), folder.path().join("file.part"));
    if let Some(bytes) = &before.part {
        fs::write(&part, bytes).expect("written");
    }
    let locations: Vec<Location> = paths
        .iter()
        .map(|path| Location::parse(&format!("{}{path}", server.base)).expect("an address"))
        .collect();
    let wanted = Download {
        what: "thing 1.0",
        pin: Some("update thing"),
        locations: &locations,
        sha256: &sha256(&content),
        size: before.pinned_size,
        dest: &dest,
    };
    let mut policy = impatient();
    if server.stalls {
        policy.stall_timeout = Duration::from_secs(1);
    }
    let mut report = String::new();
    let result = match Downloader::new(policy).download(&wanted, &QUIET) {
        Ok(done) => {
            let from = done.location.unwrap_or("the disk".to_owned());
            let warnings: String = done.warnings.iter().map(|warning| format!("\n  {warning}")).collect();
            format!("ok: {} bytes from {from}, {} from before{warnings}", done.size, done.resumed)
        }
        Err(error) => error.to_string(),
    };
    for request in server.requests() {
        report += &format!("{request}\n");
    }
    report += &result.replace(&server.base, "http://server").replace(&wanted.sha256[8..], "…");
    report += &match (fs::read(&dest), fs::metadata(&part)) {
        (Ok(bytes), Err(_)) if bytes == content => String::new(),
        (Ok(_), _) => "\nWRONG FILE OR PART LEFT".to_owned(),
        (Err(_), Ok(part)) => format!("\npart: {} bytes", part.len()),
        (Err(_), Err(_)) => "\nnothing left".to_owned(),
    };
    report += "\n";
    expected.assert_eq(&report);
}

#[test]
fn gets_the_file() {
    check(
        FRESH,
        &[&[Give]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        UNSIZED,
        &[&[Give]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        UNSIZED,
        &[&[GiveUnsized]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[GiveUnsized]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
}

#[test]
fn resumes_after_a_broken_connection() {
    check(
        FRESH,
        &[&[Break(3000), Break(2000), Give]],
        expect![[r#"
        /a
        /a bytes=3000- "one"
        /a bytes=5000- "one"
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        UNSIZED,
        &[&[Break(3000), Give]],
        expect![[r#"
        /a
        /a bytes=3000- "one"
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Break(3000), GiveWhole]],
        expect![[r#"
        /a
        /a bytes=3000- "one"
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Break(3000), WrongRange, Give]],
        expect![[r#"
        /a
        /a bytes=3000- "one"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Stall(3000), Give]],
        expect![[r#"
        /a
        /a bytes=3000- "one"
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Break(3000)], &[Give]],
        expect![[r#"
            /a
            /a bytes=3000- "one"
            /a bytes=6000- "one"
            /b bytes=9000-
            ok: 10000 bytes from http://server/b, 0 from before
        "#]],
    );
}

#[test]
fn resumes_what_an_earlier_run_left() {
    let content = noise(SIZE);
    check(
        part(&content[..4000]),
        &[&[Give]],
        expect![[r#"
        /a bytes=4000-
        ok: 10000 bytes from http://server/a, 4000 from before
    "#]],
    );
    check(
        part(&content),
        &[&[Status("404 Not Found")]],
        expect![[r#"
        ok: 10000 bytes from the disk, 10000 from before
    "#]],
    );
    check(
        part(b"other bytes"),
        &[&[Give]],
        expect![[r#"
            /a bytes=11-
            /a
            ok: 10000 bytes from http://server/a, 0 from before
              what had been downloaded before did not fit http://server/a; started over
        "#]],
    );
    check(
        part(&noise(SIZE + 5)),
        &[&[Give]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        part(&[0; SIZE]),
        &[&[Give]],
        expect![[r#"
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        Before { pinned_size: None, ..part(&noise(SIZE + 5)) },
        &[&[Give]],
        expect![[r#"
            /a bytes=10005-
            /a
            ok: 10000 bytes from http://server/a, 0 from before
        "#]],
    );
    check(
        part(&content[..4000]),
        &[&[Status("404 Not Found")]],
        expect![[r#"
        /a bytes=4000-
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
        the pin no longer exists anywhere:
          http://server/a: 404 Not Found
        hint: `cargo xtask pins update thing` pins the newest version; `--mirror BASE` names a place that still has this one
        part: 4000 bytes
    "#]],
    );
}

#[test]
fn goes_on_to_the_next_location() {
    check(
        FRESH,
        &[&[Status("404 Not Found")], &[Status("403 Forbidden")], &[Give]],
        expect![[r#"
        /a
        /b
        /c
        ok: 10000 bytes from http://server/c, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Status("503 Service Unavailable"), Give]],
        expect![[r#"
        /a
        /a
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Status("429 Too Many Requests")], &[Give]],
        expect![[r#"
        /a
        /a
        /a
        /b
        ok: 10000 bytes from http://server/b, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[GiveWrong], &[Give]],
        expect![[r#"
        /a
        /b
        ok: 10000 bytes from http://server/b, 0 from before
          http://server/a gave other bytes, sha256 e44c9257e1c5ed0bc3f1bf7db4e439c564affb1ce577509be2816716eea5a58b
    "#]],
    );
}

#[test]
fn says_what_every_location_answered() {
    check(
        FRESH,
        &[&[Status("404 Not Found")], &[Status("410 Gone")]],
        expect![[r#"
        /a
        /b
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
        the pin no longer exists anywhere:
          http://server/a: 404 Not Found
          http://server/b: 410 Gone
        hint: `cargo xtask pins update thing` pins the newest version; `--mirror BASE` names a place that still has this one
        nothing left
    "#]],
    );
    check(
        FRESH,
        &[&[Status("404 Not Found")], &[GiveWrong]],
        expect![[r#"
        /a
        /b
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: 404 Not Found
          http://server/b: gave other bytes, sha256 e44c9257e1c5ed0bc3f1bf7db4e439c564affb1ce577509be2816716eea5a58b
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
    check(
        FRESH,
        &[&[Status("500 Oops")], &[Break(10)], &[Stall(10)]],
        expect![[r#"
            /a
            /a
            /a
            /b
            /b bytes=10- "one"
            /b bytes=20- "one"
            /c bytes=30-
            /c bytes=40- "one"
            /c bytes=50- "one"
            cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
              http://server/a: 500 Internal Server Error
              http://server/b: the connection broke: end of file before message length reached
              http://server/c: the server has stalled
            hint: check the network and its proxy variables, or name a reachable place with `--mirror BASE`
            part: 60 bytes
        "#]],
    );
    check(
        FRESH,
        &[],
        expect![[r#"
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
        there is no location to get it from
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
}

#[test]
fn follows_redirects_within_reason() {
    check(
        FRESH,
        &[&[Redirect("/b".to_owned())], &[Give]],
        expect![[r#"
        /a
        /b
        ok: 10000 bytes from http://server/a, 0 from before
    "#]],
    );
    check(
        FRESH,
        &[&[Redirect("/a".to_owned())]],
        expect![[r#"
        /a
        /a
        /a
        /a
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: too many redirects
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
    check(
        FRESH,
        &[&[Redirect("ftp://user:secret@server/x?key=secret".to_owned())]],
        expect![[r#"
        /a
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: redirects to something that is neither http nor https
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
}

#[test]
fn never_writes_more_than_pinned() {
    let site = |act: Act| Server::start(vec![("/a", noise(SIZE * 30), vec![act])]);
    check_site(
        FRESH,
        site(Give),
        &["/a"],
        expect![[r#"
        /a
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: has a file of 300000 bytes instead of 10000
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
    check_site(
        FRESH,
        site(GiveUnsized),
        &["/a"],
        expect![[r#"
        /a
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: has a file of more than 10000 bytes
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        nothing left
    "#]],
    );
    let short = Server::start(vec![("/a", noise(SIZE - 1), vec![GiveUnsized])]);
    check_site(
        FRESH,
        short,
        &["/a"],
        expect![[r#"
        /a
        /a bytes=9999-
        /a
        /a bytes=9999-
        cannot download thing 1.0 (10000 bytes), sha256 b6cd646c…
          http://server/a: 416 Range Not Satisfiable
        hint: `--mirror BASE` names another place; if the pin itself is wrong, `cargo xtask pins update thing`
        part: 9999 bytes
    "#]],
    );
}

#[test]
fn hides_credentials() {
    let server = Server::start(vec![("/a", noise(SIZE), vec![Status("403 Forbidden")])]);
    let address = format!("{}/a?signature=secret", server.base.replace("http://", "http://user:secret@"));
    let location = Location::parse(&address).expect("an address");
    let unreachable =
        Location::parse("http://user:secret@127.0.0.1:1/a?signature=secret#secret").expect("an address");
    assert!(!format!("{location} {location:?}").contains("secret"));
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = Download {
        what: "thing",
        pin: None,
        locations: &[location, unreachable],
        sha256: &sha256(b""),
        size: None,
        dest: &folder.path().join("file"),
    };
    let error = Downloader::new(impatient()).download(&wanted, &QUIET).expect_err("nothing there");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(server.requests(), ["/a?signature=secret"], "the server itself needs them");
    for bad in [
        "ftp://user:secret@host/",
        "https://",
        "host/path?secret",
        "//user:secret@host",
        "http://user:secret@[x/",
    ] {
        let error = Location::parse(bad).err().filter(|_| !bad.starts_with("//"));
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn reads_local_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, dest) = (folder.path().join("a mirror"), folder.path().join("file"));
    fs::write(&source, noise(SIZE)).expect("written");
    fs::write(folder.path().join("file.part"), &noise(SIZE)[..77]).expect("written");
    let missing = Location::File(folder.path().join("missing"));
    let address = format!("file://{}", source.display().to_string().replace(' ', "%20"));
    let locations = [missing, Location::parse(&address).expect("an address")];
    let digest = sha256(&noise(SIZE));
    let wanted = Download {
        what: "thing",
        pin: None,
        locations: &locations,
        sha256: &digest,
        size: None,
        dest: &dest,
    };
    let done = Downloader::new(impatient()).download(&wanted, &QUIET).expect("there");
    assert_eq!((done.size, done.resumed), (SIZE as u64, 77));
    assert_eq!(fs::read(&dest).expect("there"), noise(SIZE));
}

#[test]
fn reports_progress_and_stops_when_told() {
    let server = Server::start(vec![("/a", noise(SIZE), vec![Break(4000), Stall(1000)])]);
    let (cancel, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let progress = |done, total| {
        seen.lock().expect("no panic").push((done, total));
        cancel.store(done == 5000, Ordering::Relaxed);
    };
    let folder = tempfile::tempdir().expect("a folder");
    let dest = folder.path().join("file");
    let locations = [Location::parse(&format!("{}/a", server.base)).expect("an address")];
    let digest = sha256(&noise(SIZE));
    let wanted = Download {
        what: "thing",
        pin: None,
        locations: &locations,
        sha256: &digest,
        size: None,
        dest: &dest,
    };
    let start = Instant::now();
    let control = Control { cancel: &cancel, progress: &progress };
    let result = Downloader::new(impatient()).download(&wanted, &control);
    assert!(matches!(result, Err(DownloadError::Cancelled { .. })), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "waited for the server");
    let seen = seen.into_inner().expect("no panic");
    assert_eq!(seen.last(), Some(&(5000, Some(SIZE as u64))), "{seen:?}");
    assert_eq!(fs::metadata(folder.path().join("file.part")).expect("kept").len(), 5000);
}
