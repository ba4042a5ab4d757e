//! Renewing pins from a small Debian archive made here, signed and unsigned.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expect_test::{Expect, expect};

use super::{QUIET, impatient, sha256, tool};
use crate::fetch::{
    Location,
    download::Downloader,
    locations::Sources,
    pins::{Change, Trust, Updater, rewrite},
};

const PINS: &str = r#"# Every download.
pins:
  linux-7.3:   # the newest
    description: "Kernel: source"
    linux: 7.3.4
    member: usr/src/linux-source-7.3.tar.xz

    deb:
      package: linux-source-7.3
      version: "7.3.4-1"   # see the changelog
      architecture: all
      suite: testing-backports
      pool: pool/main/l/linux/linux-source-7.3_7.3.4-1_all.deb
      size: 4
      sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
      snapshot: 20260101T000000Z # when it was new
  stub: { description: EFI stub, deb: { package: boot, version: 1.9-1, architecture: arm64, suite: testing, pool: pool/main/b/boot.deb, size: 5, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, snapshot: 20260101T000000Z } }
"#;

/// Sunday, 2026-11-22.
const NOW: u64 = 1_795_340_000;

fn stanza(package: &str, version: &str, architecture: &str) -> String {
    let digest = sha256(version.as_bytes());
    format!(
        "Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n\
         Filename: pool/main/x/{package}_{version}_{architecture}.deb\nSize: {}\nSHA256: {digest}\n\
         Description: text\n Version: 99\n\n",
        version.len()
    )
}

/// Writes dists/SUITE with one Packages file and an unsigned InRelease.
fn make_suite(root: &Path, suite: &str, architecture: &str, packages: &str) -> PathBuf {
    let folder = root.join("dists").join(suite);
    let index = format!("main/binary-{architecture}/Packages");
    fs::create_dir_all(folder.join(&index).parent().expect("a parent")).expect("made");
    fs::write(folder.join(&index), packages).expect("written");
    let digest = sha256(packages.as_bytes());
    let release = format!(
        "Origin: Debian\nSuite: {suite}\nCodename: {suite}\nDate: Fri, 20 Nov 2026 02:11:10 UTC\n\
         Valid-Until: Fri, 27 Nov 2026 02:11:10 UTC\nMD5Sum:\n 0 0 {index}\nSHA256:\n {digest} {} {index}\n",
        packages.len()
    );
    let file = folder.join("InRelease");
    fs::write(&file, release).expect("written");
    file
}

/// Both suites of `PINS`.
fn make_archive(root: &Path, kernel: &str, stub: &str) {
    make_suite(root, "testing-backports", "amd64", kernel);
    make_suite(root, "testing", "arm64", stub);
}

fn update(root: &Path, trust: Trust, text: &str, names: &[&str]) -> String {
    let downloader = Downloader::new(impatient());
    let permanent = Location::File(root.join("permanent"));
    let sources = Sources::fixed(vec![Location::File(root.to_owned())], Vec::new(), permanent);
    let updater = Updater { sources: &sources, downloader: &downloader, control: &QUIET, trust, now: NOW };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let report = match updater.update("pins.yaml", text, &names) {
        Ok(update) => {
            assert_eq!(update.diff.is_empty(), update.text == text);
            let renewed = update
                .renewed
                .iter()
                .map(|pin| format!("{}: {} -> {}\n", pin.name, pin.old_version, pin.new_version));
            let notes = update.notes.iter().map(|note| format!("note: {note}\n"));
            let current = update.current.iter().map(|name| format!("current: {name}\n"));
            update.diff + &renewed.chain(current).chain(notes).collect::<String>()
        }
        Err(error) => format!("{error}\n"),
    };
    // Blanks at line ends would not survive in the expectations.
    let lines = report.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect::<String>().replace(&root.display().to_string(), "ROOT")
}

fn check(kernel: &[&str], stub: &[&str], names: &[&str], expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel: String = kernel.iter().map(|version| stanza("linux-source-7.3", version, "all")).collect();
    let stub: String = stub.iter().map(|version| stanza("boot", version, "arm64")).collect();
    make_archive(folder.path(), &(stanza("linux-source-7.2", "7.2.9-1", "all") + &kernel), &stub);
    expected.assert_eq(&update(folder.path(), Trust::Mirror("a test"), PINS, names));
}

#[test]
fn renews_values_alone() {
    check(
        &["7.3.4-1", "7.3.10-1", "7.3.9-2"],
        &["1.9-1~rc1", "1:0.1-1"],
        &[],
        expect![[r#"
            --- pins.yaml
            +++ pins.yaml
            @@ -2,16 +2,16 @@
             pins:
               linux-7.3:   # the newest
                 description: "Kernel: source"
            -    linux: 7.3.4
            +    linux: 7.3.10
                 member: usr/src/linux-source-7.3.tar.xz
 
                 deb:
                   package: linux-source-7.3
            -      version: "7.3.4-1"   # see the changelog
            +      version: "7.3.10-1"   # see the changelog
                   architecture: all
                   suite: testing-backports
            -      pool: pool/main/l/linux/linux-source-7.3_7.3.4-1_all.deb
            -      size: 4
            -      sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
            -      snapshot: 20260101T000000Z # when it was new
            -  stub: { description: EFI stub, deb: { package: boot, version: 1.9-1, architecture: arm64, suite: testing, pool: pool/main/b/boot.deb, size: 5, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, snapshot: 20260101T000000Z } }
            +      pool: pool/main/x/linux-source-7.3_7.3.10-1_all.deb
            +      size: 8
            +      sha256: '143863d21aa794c9c23a2a3ee3c7cf8c35c98c50c3812b63f4d6ec49c5651be0'
            +      snapshot: 20261120T141110Z # when it was new
            +  stub: { description: EFI stub, deb: { package: boot, version: 1:0.1-1, architecture: arm64, suite: testing, pool: pool/main/x/boot_1:0.1-1_arm64.deb, size: 7, sha256: 06d5b99b7b4a92b0ecc96ca7dec5b0be0824cc4febd11c365cfda1c4672244a1, snapshot: 20261120T141110Z } }
            linux-7.3: 7.3.4-1 -> 7.3.10-1
            stub: 1.9-1 -> 1:0.1-1
            note: signatures of the suites NOT checked (a test): only the mirror and its transport are trusted
        "#]],
    );
    check(
        &["7.4-1"],
        &["2"],
        &["linux-7.3"],
        expect![[r#"
            --- pins.yaml
            +++ pins.yaml
            @@ -2,16 +2,16 @@
             pins:
               linux-7.3:   # the newest
                 description: "Kernel: source"
            -    linux: 7.3.4
            +    linux: '7.4'
                 member: usr/src/linux-source-7.3.tar.xz
 
                 deb:
                   package: linux-source-7.3
            -      version: "7.3.4-1"   # see the changelog
            +      version: "7.4-1"   # see the changelog
                   architecture: all
                   suite: testing-backports
            -      pool: pool/main/l/linux/linux-source-7.3_7.3.4-1_all.deb
            -      size: 4
            -      sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
            -      snapshot: 20260101T000000Z # when it was new
            +      pool: pool/main/x/linux-source-7.3_7.4-1_all.deb
            +      size: 5
            +      sha256: 'b557d20b5211b0e6ac91894ec47b5311acf9223d4e8497b83aae87274dd1d9b3'
            +      snapshot: 20261120T141110Z # when it was new
               stub: { description: EFI stub, deb: { package: boot, version: 1.9-1, architecture: arm64, suite: testing, pool: pool/main/b/boot.deb, size: 5, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, snapshot: 20260101T000000Z } }
            linux-7.3: 7.3.4-1 -> 7.4-1
            note: signatures of the suites NOT checked (a test): only the mirror and its transport are trusted
        "#]],
    );
    check(
        &["7.3.4-1~"],
        &["1.9-0"],
        &[],
        expect![[r#"
        note: linux-7.3: 7.3.4-1 is pinned, newer than 7.3.4-1~ in testing-backports; left as it is
        note: stub: 1.9-1 is pinned, newer than 1.9-0 in testing; left as it is
        note: signatures of the suites NOT checked (a test): only the mirror and its transport are trusted
    "#]],
    );
}

#[test]
fn says_what_stands_in_the_way() {
    check(
        &[],
        &["1.9-1"],
        &[],
        expect![[r#"
        cannot renew the pins:
          linux-7.3: suite testing-backports has no package linux-source-7.3 for all; it has linux-source-7.2
          stub: boot 1.9-1 in testing is not what is pinned: 5 bytes, sha256 faa716b674e794870a8160cb5a8b611c61ab5dc0b3265ff5b20f07285832957c; a version never changes, so the pin or the mirror is wrong
    "#]],
    );
    check(
        &["7.3.5-1"],
        &["2"],
        &["stup", "other"],
        expect![[r#"
        cannot renew the pins:
          pins.yaml has no pin "stup"; did you mean "stub"?
          pins.yaml has no pin "other"
    "#]],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let report = |text: &str| update(folder.path(), Trust::Mirror("a test"), text, &[]);
    expect![[r#"
        cannot renew the pins:
          linux-7.3: no mirror has a usable suite testing-backports
            ROOT: InRelease: no such file
            ROOT/permanent/debian/20261122T093320Z: InRelease: no such file
          hint: name a Debian mirror with `--mirror BASE`
          stub: no mirror has a usable suite testing
            ROOT: InRelease: no such file
            ROOT/permanent/debian/20261122T093320Z: InRelease: no such file
          hint: name a Debian mirror with `--mirror BASE`
    "#]]
    .assert_eq(&report(PINS));
    expect![[r#"
        cannot renew the pins:
          pins.yaml: pins: invalid type: integer `1`, expected a map at line 1 column 7
    "#]]
    .assert_eq(&report("pins: 1\n"));
    make_archive(folder.path(), &stanza("linux-source-7.3", "8", "all"), &stanza("boot", "2", "arm64"));
    fs::write(folder.path().join("dists/testing/main/binary-arm64/Packages"), "Package: evil\n")
        .expect("written");
    fs::rename(folder.path().join("dists/testing-backports"), folder.path().join("dists/x"))
        .expect("renamed");
    make_suite(folder.path(), "testing-backports", "arm64", "");
    expect![[r#"
        cannot renew the pins:
          linux-7.3: suite testing-backports has no index for main, amd64
          stub: main/binary-arm64/Packages of suite testing (is the mirror being updated? then try again):
            ROOT/dists/testing/main/binary-arm64/by-hash/SHA256/29adb1fc350583b860dd59d97e2de56c50d9cba84fde05c38d602788aa3c40db: no such file
            ROOT/dists/testing/main/binary-arm64/Packages: has a file of 14 bytes instead of 197
    "#]].assert_eq(&report(PINS));
    let (old, suite) = (folder.path().join("dists/x"), folder.path().join("dists/testing-backports"));
    fs::remove_dir_all(&suite).expect("removed");
    fs::rename(old, &suite).expect("renamed");
    let release =
        fs::read_to_string(suite.join("InRelease")).expect("UTF-8").replace("testing-backports", "stable");
    fs::write(suite.join("InRelease"), release).expect("written");
    expect![[r#"
        cannot renew the pins:
          linux-7.3: no mirror has a usable suite testing-backports
            ROOT: its InRelease is of stable (stable)
            ROOT/permanent/debian/20261122T093320Z: InRelease: no such file
          hint: name a Debian mirror with `--mirror BASE`
          stub: main/binary-arm64/Packages of suite testing (is the mirror being updated? then try again):
            ROOT/dists/testing/main/binary-arm64/by-hash/SHA256/29adb1fc350583b860dd59d97e2de56c50d9cba84fde05c38d602788aa3c40db: no such file
            ROOT/dists/testing/main/binary-arm64/Packages: has a file of 14 bytes instead of 197
    "#]].assert_eq(&report(PINS));
}

#[test]
fn believes_only_good_signatures() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    make_archive(root, &stanza("linux-source-7.3", "7.3.5-1", "all"), &stanza("boot", "2", "arm64"));
    // Short: the path of gpg's socket must be.
    let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").expect("a folder");
    let gpg = |arguments: &[&str]| {
        let home = home.path().to_str().expect("UTF-8");
        let common = [
            "--homedir",
            home,
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ];
        tool("gnupg", "gpg", &[&common[..], arguments].concat(), root)
    };
    let keyring = root.join("keyring.gpg");
    let trust = Trust::Keyring(keyring.clone());
    gpg(&["--quick-generate-key", "archive@example.org", "ed25519", "sign", "never"]);
    gpg(&["--output", "keyring.gpg", "--export", "archive@example.org"]);
    let unsigned = update(root, trust.clone(), PINS, &[]);
    assert_eq!(unsigned.matches("the signature of its InRelease is not good").count(), 2, "{unsigned}");
    for suite in ["testing", "testing-backports"] {
        let file = format!("dists/{suite}/InRelease");
        gpg(&["--clearsign", "--output", "signed", &file]);
        fs::rename(root.join("signed"), root.join(file)).expect("renamed");
    }
    let signed = update(root, trust.clone(), PINS, &[]);
    assert!(
        signed.contains("stub: 1.9-1 -> 2\nnote: signatures of the suites checked with ROOT/keyring.gpg\n"),
        "{signed}"
    );
    // The unsigned text before and after the message must not count.
    let file = root.join("dists/testing/InRelease");
    let good = fs::read_to_string(&file).expect("UTF-8");
    fs::write(
        &file,
        format!("Suite: testing\nSHA256:\n {} 1 main/binary-arm64/Packages\n\n{good}", "0".repeat(64)),
    )
    .expect("written");
    assert!(update(root, trust.clone(), PINS, &[]).contains("stub: 1.9-1 -> 2"));
    fs::write(&file, good.replace("2026", "2027")).expect("written");
    let forged = update(root, trust, PINS, &[]);
    assert!(forged.contains("the signature of its InRelease is not good:\n    gpgv: "), "{forged}");
    tool("gnupg", "gpgconf", &["--homedir", home.path().to_str().expect("UTF-8"), "--kill", "all"], root);
}

#[test]
fn rewrites_any_style() {
    let check = |text: &str, key: &str, value: &str, expected: &str| {
        let path = key.split('.').map(str::to_owned).collect();
        let result = rewrite(text, &[Change { path, value: value.to_owned() }]);
        assert_eq!(result.unwrap_or_else(|error| error.to_string()), expected, "{text:?}");
    };
    check("a: b # c\n", "a", "d", "a: d # c\n");
    check("a: 'b''s' # 'c'\n", "a", "d", "a: 'd' # 'c'\n");
    check("a: \"b\\\"s\"   # c\nd: 1\n", "a", "d", "a: \"d\"   # c\nd: 1\n");
    check("a: {b: c, d: \"e\"}\n", "a.b", "x", "a: {b: x, d: \"e\"}\n");
    check(
        "ä: é # ö\na: {b: [c, {d: e}], f: g} # ü\n",
        "a.f",
        "x",
        "ä: é # ö\na: {b: [c, {d: e}], f: x} # ü\n",
    );
    check("a: 7.3.4\n", "a", "7.4", "a: '7.4'\n");
    check("a: 12\n", "a", "13", "a: 13\n");
    check("a: b", "a", "c", "a: c");
    check("a: b\r\nc: d\r\n", "a", "x", "a: x\r\nc: d\r\n");
    check("a: b\n", "a", "x: 'y' # z", "a: 'x: ''y'' # z'\n");
    check(
        "a: |\n  b\n",
        "a",
        "x",
        "the value at a is written in a way that cannot be replaced; write it on one line",
    );
    check("a: b\n", "c", "x", "there is no value at c");
    check(
        "a: [b\n",
        "a",
        "x",
        "not valid YAML: while parsing a flow sequence, expected ',' or ']' at byte 6 line 2 column 1",
    );
}
