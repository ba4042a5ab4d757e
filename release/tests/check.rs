//! A small bundle of which every part is there, and what is said when something is done to it.

use std::{collections::BTreeMap, fs, path::Path};

use release::{
    Digest,
    bundle::{self, Artifact, Collection, ProfileRelease, Release, Source},
    check::{Options, check},
    manifest::{Builder, Manifest, Output, Profile},
    pack::{Packing, pack},
    provenance,
    sbom::{Bill, Crate, Kind, Part, Role, cyclonedx, spdx},
    sums::Sums,
};

const OPTIONS: Options = Options { jobs: 2, unpack: true };
const DISK: &[u8] = &[7; 3 << 20];

fn source() -> Source {
    Source {
        version: "1.2.3".into(),
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        date: "2026-01-02T03:04:05Z".into(),
        modified: false,
    }
}

fn output(name: &str, content: &[u8]) -> Output {
    Output { name: name.into(), size_bytes: content.len() as u64, sha256: Digest::of(content) }
}

fn manifest() -> Manifest {
    Manifest {
        format: release::manifest::FORMAT,
        profile: Profile {
            name: "small".into(),
            description: "A small one.".into(),
            arch: "x86_64".into(),
            vtl: 2,
            settings: serde_json::Map::new(),
        },
        hermetic: true,
        builder: Builder::Machine,
        command: vec!["true".into()],
        inputs: Vec::new(),
        tools: BTreeMap::new(),
        steps: Vec::new(),
        outputs: vec![output("disk.raw", DISK), output("kernel", b"a kernel")],
        measurements: Vec::new(),
    }
}

fn parts() -> Vec<Part> {
    let linked = Crate {
        name: "nix".into(),
        version: "0.31.0".into(),
        licence: Some("MIT/Apache-2.0".into()),
        sha256: Some(Digest::of(b"nix")),
        role: Role::Contained,
    };
    let tool = Part {
        kind: Kind::Program,
        name: "gcc".into(),
        version: "gcc 12".into(),
        sha256: None,
        licence: None,
        purl: None,
        cpe: None,
        location: None,
        role: Role::BuildTool,
    };
    vec![linked.into(), tool]
}

fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let manifest = manifest();
    let mut packed = Vec::new();
    pack(&mut &DISK[..], DISK.len() as u64, &mut packed, Packing::ZstdSeekable).unwrap();
    let put = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
    put("disk.raw.zst", &packed);
    put("kernel", b"a kernel");
    let artifact = |file: &str, packing, number: usize| Artifact {
        file: file.into(),
        packing,
        content: manifest.outputs[number].clone(),
    };
    let release = ProfileRelease {
        format: bundle::FORMAT,
        source: source(),
        profile: "small".into(),
        command: vec!["true".into()],
        artifacts: vec![
            artifact("disk.raw.zst", Packing::ZstdSeekable, 0),
            artifact("kernel", Packing::None, 1),
        ],
    };
    let parts = parts();
    let bill = Bill {
        profile: "small",
        description: "A small one.",
        version: "1.2.3",
        date: "2026-01-02T03:04:05Z",
        artifacts: &manifest.outputs,
        parts: &parts,
    };
    put(bundle::MANIFEST, manifest.text().as_bytes());
    put(bundle::SPDX, spdx::text(&bill).as_bytes());
    put(bundle::CYCLONEDX, cyclonedx::text(&bill).as_bytes());
    let subjects = release.subjects(&sums_of(folder));
    let provenance = provenance::text(&subjects, &source(), &manifest, &["true".into()]);
    put(bundle::PROVENANCE, provenance.as_bytes());
    put(bundle::RELEASE, Release::Profile(release).text().as_bytes());
    put(bundle::NOTES, b"Notes.\n");
    put(bundle::UNSIGNED, bundle::UNSIGNED_TEXT.as_bytes());
    seal(folder);
}

/// Digests of all that is there.
fn sums_of(folder: &Path) -> Sums {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let sum = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (name, Digest::of_file(entry.path()).unwrap().0)
    };
    let mut sums = Sums(files.map(sum).collect());
    [bundle::SUMS, bundle::SIGNATURE].iter().for_each(|name| _ = sums.0.remove(*name));
    sums
}

fn seal(folder: &Path) {
    fs::write(folder.join(bundle::SUMS), sums_of(folder).text()).unwrap();
}

fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{from} in {name}");
    fs::write(folder.join(name), text.replacen(from, to, 1)).unwrap();
}

/// What is said of the bundle after `change`.
fn said(change: impl FnOnce(&Path)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    change(folder.path());
    match check(folder.path(), OPTIONS) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let place = folder.path().display().to_string();
            problems.iter().map(|problem| problem.to_string().replace(&place, "DIR")).collect()
        }
    }
}

#[test]
fn a_whole_bundle_is_accepted_and_written_the_same_twice() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        write(folder.path());
        let checked = check(folder.path(), OPTIONS).unwrap();
        assert_eq!((checked.files, checked.has_signature), (9, false));
        assert_eq!(checked.release.source(), &source());
    }
    assert_eq!(sums_of(folders[0].path()), sums_of(folders[1].path()));
}

/// Whoever changes something and nothing else is found out by the digests.
#[test]
fn each_change_is_told_once_and_by_name() {
    type Change = fn(&Path);
    let cases: [(&str, Change, &str); 12] = [
        (
            "artifact",
            |dir| fs::write(dir.join("kernel"), "A kernel").unwrap(),
            "kernel was changed: its digest is",
        ),
        (
            "packed artifact",
            |dir| fs::write(dir.join("disk.raw.zst"), "").unwrap(),
            "disk.raw.zst was changed",
        ),
        ("manifest", |dir| edit(dir, bundle::MANIFEST, "small", "large"), "manifest.json was changed"),
        ("SPDX", |dir| edit(dir, bundle::SPDX, "nix", "nax"), "sbom.spdx.json was changed"),
        ("CycloneDX", |dir| edit(dir, bundle::CYCLONEDX, "nix", "nax"), "sbom.cdx.json was changed"),
        (
            "provenance",
            |dir| edit(dir, bundle::PROVENANCE, "true", "false"),
            "provenance.intoto.json was changed",
        ),
        ("notes", |dir| edit(dir, bundle::NOTES, "Notes", "Lies"), "NOTES.md was changed"),
        ("missing", |dir| fs::remove_file(dir.join("kernel")).unwrap(), "kernel is missing"),
        ("extra", |dir| fs::write(dir.join("more"), "").unwrap(), "more is no part of the release"),
        (
            "deep",
            |dir| {
                fs::create_dir(dir.join("sub")).unwrap();
                fs::write(dir.join("sub/more"), "").unwrap();
            },
            "sub/more is no part of the release",
        ),
        (
            "link",
            |dir| {
                fs::rename(dir.join("kernel"), dir.join("../kernel")).unwrap();
                std::os::unix::fs::symlink("../kernel", dir.join("kernel")).unwrap();
            },
            "kernel is no plain file",
        ),
        (
            "no sums",
            |dir| fs::remove_file(dir.join(bundle::SUMS)).unwrap(),
            "DIR is no release: it has no SHA256SUMS",
        ),
    ];
    for (name, change, wanted) in cases {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("bundle");
        write(&dir);
        change(&dir);
        let problems = check(&dir, OPTIONS).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let said: Vec<String> = said.iter().map(|said| said.replace(dir.to_str().unwrap(), "DIR")).collect();
        assert!(said.len() == 1 && said[0].starts_with(wanted), "{name}: {said:?}");
    }
}

/// Whoever also writes the digests anew is found out where documents contradict each other.
#[test]
fn documents_that_contradict_each_other_are_told() {
    type Change = fn(&Path);
    let cases: [(&str, Change, &[&str]); 11] = [
        (
            "another kernel",
            |dir| fs::write(dir.join("kernel"), "A kernel").unwrap(),
            &[
                "release.json has another digest for kernel",
                "provenance.intoto.json speaks of other artifacts",
            ],
        ),
        (
            "another disk",
            |dir| {
                let mut packed = Vec::new();
                pack(&mut &DISK[1..], DISK.len() as u64 - 1, &mut packed, Packing::Zstd).unwrap();
                fs::write(dir.join("disk.raw.zst"), packed).unwrap();
            },
            &[
                "disk.raw.zst has other content than the manifest says",
                "provenance.intoto.json speaks of other artifacts",
            ],
        ),
        (
            "no zstd",
            |dir| fs::write(dir.join("disk.raw.zst"), "0123456789").unwrap(),
            &["disk.raw.zst can't be unpacked", "provenance.intoto.json speaks of other artifacts"],
        ),
        (
            "another profile",
            |dir| edit(dir, bundle::MANIFEST, "\"small\"", "\"large\""),
            &["manifest.json and release.json name different artifacts", "provenance.intoto.json speaks"],
        ),
        (
            "a newer manifest",
            |dir| edit(dir, bundle::MANIFEST, "\"format\": 1", "\"format\": 2"),
            &[
                "manifest.json is of format 2, and this program reads format 1",
                "provenance.intoto.json speaks",
            ],
        ),
        (
            "a bill of something else",
            |dir| edit(dir, bundle::SPDX, "\"kernel\"", "\"colonel\""),
            &["sbom.spdx.json is a bill of other artifacts"],
        ),
        (
            "a bill of another kind",
            |dir| edit(dir, bundle::CYCLONEDX, "CycloneDX", "Motorcycle"),
            &["sbom.cdx.json is no document of CycloneDX 1.6"],
        ),
        ("no bill", |dir| fs::remove_file(dir.join(bundle::SPDX)).unwrap(), &["sbom.spdx.json is missing"]),
        (
            "no release",
            |dir| fs::write(dir.join(bundle::RELEASE), "{}").unwrap(),
            &["release.json describes no release: missing field `kind`"],
        ),
        (
            "an unknown key",
            |dir| edit(dir, bundle::RELEASE, "\"profile\": \"small\"", "\"profile\": \"small\", \"x\": 1"),
            &["release.json describes no release: unknown field `x`"],
        ),
        (
            "signed and not",
            |dir| fs::write(dir.join(bundle::SIGNATURE), "").unwrap(),
            &["UNSIGNED says that nobody has signed this release, but there is a signature"],
        ),
    ];
    for (name, change, wanted) in cases {
        let said = said(|dir| {
            change(dir);
            seal(dir);
        });
        let all = said.len() == wanted.len()
            && said.iter().zip(wanted).all(|(said, wanted)| said.starts_with(wanted));
        assert!(all, "{name}: {said:#?}");
    }
}

#[test]
fn sums_that_lead_elsewhere_are_refused() {
    let said = said(|dir| edit(dir, bundle::SUMS, "  kernel", "  ../kernel"));
    assert_eq!(said, ["SHA256SUMS: line 4: `../kernel` is no path below the folder"]);
}

fn write_collection(folder: &Path) {
    for profile in ["small", "other"] {
        write(&folder.join(profile));
    }
    edit(&folder.join("other"), bundle::RELEASE, "\"profile\": \"small\"", "\"profile\": \"other\"");
    edit(&folder.join("other"), bundle::MANIFEST, "\"name\": \"small\"", "\"name\": \"other\"");
    let sums = sums_of(&folder.join("other"));
    let manifest = sums.get(bundle::MANIFEST).unwrap().to_string();
    let before = Digest::of(self::manifest().text().as_bytes()).to_string();
    edit(&folder.join("other"), bundle::PROVENANCE, &before, &manifest);
    seal(&folder.join("other"));
    let collection = Collection {
        format: bundle::FORMAT,
        source: source(),
        profiles: vec!["other".into(), "small".into()],
    };
    fs::write(folder.join(bundle::RELEASE), Release::Collection(collection).text()).unwrap();
    fs::write(folder.join(bundle::NOTES), "Notes.\n").unwrap();
    fs::write(folder.join(bundle::UNSIGNED), bundle::UNSIGNED_TEXT).unwrap();
    seal_collection(folder);
}

/// The sums of the bundles in it are files like others.
fn seal_collection(folder: &Path) {
    let mut sums = sums_of(folder);
    for profile in ["small", "other"] {
        let name = format!("{profile}/{}", bundle::SUMS);
        sums.0.insert(name.clone(), Digest::of_file(&folder.join(&name)).unwrap().0);
    }
    fs::write(folder.join(bundle::SUMS), sums.text()).unwrap();
}

#[test]
fn collections_are_checked_with_all_that_is_in_them() {
    type Change = fn(&Path);
    let cases: [(&str, Change, &[&str]); 5] = [
        ("whole", |_| {}, &[]),
        (
            "a part of another version",
            |dir| {
                edit(&dir.join("small"), bundle::RELEASE, "1.2.3", "1.2.4");
                seal(&dir.join("small"));
            },
            &["small/release.json is of another version than the collection"],
        ),
        (
            "a part with sums of its own",
            |dir| {
                fs::write(dir.join("small").join(bundle::SUMS), "").unwrap();
            },
            &["small/SHA256SUMS lists other files than that of the collection"],
        ),
        (
            "a stranger",
            |dir| {
                fs::create_dir(dir.join("more")).unwrap();
                fs::write(dir.join("more/file"), "").unwrap();
            },
            &["release.json names no profile that more/file would belong to"],
        ),
        (
            "a part that is missing",
            |dir| {
                fs::remove_file(dir.join("small").join(bundle::RELEASE)).unwrap();
                seal(&dir.join("small"));
            },
            &["small/release.json is missing"],
        ),
    ];
    for (name, change, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_collection(folder.path());
        change(folder.path());
        seal_collection(folder.path());
        let said = match check(folder.path(), OPTIONS) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(said, wanted, "{name}");
    }
}
