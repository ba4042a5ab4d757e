//! Where packages are looked for, and what is said when the network may not be used.

use expect_test::{Expect, expect};

use crate::fetch::{
    Location,
    locations::{Deb, DebianArchive, MachineMirror, Missing, OfflineError, Sources, parse_index_targets},
};

const KERNEL: Deb = Deb {
    package: "linux-source-7.3",
    version: "7.3.4-1~bpo13+1",
    pool: "pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb",
    size: 166_780_612,
    sha256: "703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3",
    snapshot: "20261101T000000Z",
};

const SECURITY: Deb = Deb { pool: "pool/updates/main/l/linux-6.12/l_6.12.117-1_all.deb", ..KERNEL };

fn place(text: &str) -> Location {
    Location::parse(text).expect("an address")
}

fn sources(mirrors: &[&str], offline: bool) -> Sources {
    let machine = parse_index_targets(
        "http://mirror.example/debian|Debian|Debian\nhttp://mirror.example/debian-security|Debian|Debian-Security\n",
    );
    let mirrors = mirrors.iter().map(|mirror| place(mirror)).collect();
    let mut sources = Sources::fixed(mirrors, machine, place("https://permanent.example/archive"));
    sources.offline = offline;
    sources
}

fn check(deb: &Deb, sources: &Sources, expected: Expect) {
    let locations = sources.of_deb(deb).iter().map(|location| format!("{location}\n")).collect::<String>();
    expected.assert_eq(&locations);
}

#[test]
fn the_nearest_comes_first() {
    check(
        &KERNEL,
        &sources(&[], false),
        expect![[r#"
        http://mirror.example/debian/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
        https://permanent.example/archive/debian/20261101T000000Z/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
    "#]],
    );
    check(
        &SECURITY,
        &sources(&[], false),
        expect![[r#"
        http://mirror.example/debian-security/pool/updates/main/l/linux-6.12/l_6.12.117-1_all.deb
        https://permanent.example/archive/debian-security/20261101T000000Z/pool/updates/main/l/linux-6.12/l_6.12.117-1_all.deb
    "#]],
    );
    check(
        &KERNEL,
        &sources(&["https://user:secret@cache.example/debian/", "/srv/debs"], false),
        expect![[r#"
            https://cache.example/debian/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
            /srv/debs/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
            /srv/debs/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
            http://mirror.example/debian/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
            https://permanent.example/archive/debian/20261101T000000Z/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
        "#]],
    );
    check(
        &KERNEL,
        &sources(&["http://mirror.example/debian"], false),
        expect![[r#"
        http://mirror.example/debian/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
        https://permanent.example/archive/debian/20261101T000000Z/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
    "#]],
    );
    check(
        &KERNEL,
        &sources(&["https://cache.example", "file:///srv/debs"], true),
        expect![[r#"
        /srv/debs/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
        /srv/debs/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
    "#]],
    );
    check(&KERNEL, &sources(&[], true), expect![[""]]);
}

#[test]
fn the_permanent_archive_has_one_address() {
    let sources = Sources::new(Vec::new(), false);
    let last = sources.of_deb(&SECURITY).pop().expect("one at least");
    assert_eq!(
        last.to_string(),
        "https://snapshot.debian.org/archive/debian-security/20261101T000000Z/pool/updates/main/l/linux-6.12/l_6.12.117-1_all.deb"
    );
}

#[test]
fn only_debian_mirrors_have_debian_packages() {
    let mirror = |archive, base| MachineMirror { archive, base: place(base) };
    let check = |text: &str, expected: &[MachineMirror]| assert_eq!(parse_index_targets(text), expected);
    let main = mirror(DebianArchive::Main, "http://a.example/debian");
    let backports = mirror(DebianArchive::Main, "http://b.example/debian");
    let security = mirror(DebianArchive::Security, "http://a.example/debian-security");
    check("", &[]);
    check("http://a.example/debian|Debian|Debian\nhttp://a.example/debian|Debian|Debian\n", &[main]);
    check("http://b.example/debian|Debian Backports|Debian Backports\n", &[backports]);
    check("http://a.example/debian-security|Debian|Debian-Security\n", &[security]);
    check("http://c.example/ubuntu|Ubuntu|Ubuntu\nhttps://d.example/tool|Tool Inc|tool\n", &[]);
    check("cdrom:[disc]|Debian|Debian\nmirror+file:/etc/m|Debian|Debian\ngarbage\n", &[]);
}

#[test]
fn offline_says_all_that_is_missing() {
    let address = Missing {
        name: "https://x.example/y.tar.xz".to_owned(),
        sha256: Some("ab".repeat(32)),
        size: None,
        place: None,
    };
    let error = OfflineError(vec![Missing::deb(&KERNEL), address]);
    expect![[r#"
        not on this machine, and --offline forbids downloading:
          linux-source-7.3 7.3.4-1~bpo13+1
            166780612 bytes, sha256 703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3
            found as DIR/pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb or DIR/linux-source-7.3_7.3.4-1~bpo13+1_all.deb
          https://x.example/y.tar.xz
            sha256 abababababababababababababababababababababababababababababababab
          hint: run once without --offline, or put the files into a folder and name it with --mirror DIR
    "#]].assert_eq(&format!("{error}\n"));
}
