//! Makes the folder of one profile's bundle.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use release::{
    bundle::{
        Artifact, CYCLONEDX, FORMAT, MANIFEST, NOTES, PROVENANCE, ProfileRelease, RELEASE, Release,
        SIGNATURE, SPDX, SUMS, Source, UNSIGNED, UNSIGNED_TEXT,
    },
    manifest::Output,
    notes,
    pack::{Packing, pack},
    provenance,
    sbom::{Bill, cyclonedx, spdx},
    sums::Sums,
};

use super::{
    changes::{Facts, symbols},
    parts::parts,
    sign::Signer,
};
use crate::{
    digest::Digest,
    execute::{Context, Outcomes},
    export::copy,
    manifest,
    plan::Plan,
    profile::Spec,
};

/// What a bundle is made from.
pub struct Job<'a> {
    pub context: &'a Context,
    /// Of this profile alone.
    pub plan: &'a Plan,
    pub outcomes: &'a Outcomes,
    pub spec: &'a Spec,
    pub source: &'a Source,
    /// The bundle that the notes compare this one with.
    pub before: Option<&'a Path>,
    pub signer: Option<&'a Signer>,
}

/// A bundle that has been made.
pub struct Bundle {
    pub sums: Sums,
    pub size_bytes: u64,
}

/// Fills `folder`, which is there and empty.
pub fn assemble(job: &Job, folder: &Path) -> Result<Bundle> {
    let manifest = manifest::manifest(job.context, job.plan, job.outcomes, job.spec)?;
    let mut bundle = Writer { folder, sums: Sums::default(), size_bytes: 0 };
    let packing = job.spec.release.packing;
    let artifacts = artifacts(job, packing, &mut bundle)?;
    let host_tools = (!job.plan.has_builder()).then_some("--host-tools");
    let words = ["cargo", "xtask", "release", &job.spec.name].into_iter().chain(host_tools);
    let command: Vec<String> = words.map(str::to_owned).collect();
    let release = ProfileRelease {
        format: FORMAT,
        source: job.source.clone(),
        profile: job.spec.name.clone(),
        command: command.clone(),
        artifacts,
    };
    bundle.write(MANIFEST, &manifest.text())?;
    let parts = parts(job.context, job.plan, job.outcomes, &manifest)?;
    let bill = Bill {
        profile: &job.spec.name,
        description: &job.spec.description,
        version: &job.source.version,
        date: &job.source.date,
        artifacts: &manifest.outputs,
        parts: &parts,
    };
    bundle.write(SPDX, &spdx::text(&bill))?;
    bundle.write(CYCLONEDX, &cyclonedx::text(&bill))?;
    let subjects = release.subjects(&bundle.sums);
    bundle.write(PROVENANCE, &provenance::text(&subjects, job.source, &manifest, &command))?;
    bundle.write(RELEASE, &Release::Profile(release).text())?;
    let notes = notes(job.before, folder, &bundle.sums)?;
    bundle.write(NOTES, &notes)?;
    bundle.seal(job.signer)
}

/// The notes of the bundle in `folder`, which has everything else already.
fn notes(before: Option<&Path>, folder: &Path, sums: &Sums) -> Result<String> {
    let now = Facts::read(folder)?;
    let Some(before) = before else { return Ok(notes::text(&side(&now), None, &[])) };
    // The same release made again says what it said the first time.
    let listed = fs::read_to_string(before.join(SUMS)).ok().and_then(|text| Sums::parse(&text).ok());
    let mut same = listed.unwrap_or_default();
    [NOTES, UNSIGNED].iter().for_each(|name| _ = same.0.remove(*name));
    if same == *sums {
        let path = before.join(NOTES);
        return fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()));
    }
    let hint = "compare with another release, --since DIR, or with none, --since none";
    let before =
        Facts::read(before).with_context(|| format!("the last release can't be read\n  hint: {hint}"))?;
    Ok(notes::text(&side(&now), Some(&side(&before)), &symbols(&before, &now)))
}

fn side(facts: &Facts) -> notes::Side<'_> {
    notes::Side { source: &facts.source, manifest: &facts.manifest, parts: &facts.parts }
}

/// Copies or packs every artifact, as many at a time as there are.
fn artifacts(job: &Job, packing: Packing, bundle: &mut Writer) -> Result<Vec<Artifact>> {
    let outputs = manifest::outputs(job.plan, job.outcomes, &job.spec.name);
    let mut sources: Vec<(Artifact, PathBuf)> = Vec::new();
    for (content, outcome, output) in outputs {
        let path = job.context.output(job.outcomes.step(job.plan, outcome), outcome, output)?;
        let packing = packing.of(&content.name);
        let file = format!("{}{}", content.name, packing.suffix());
        sources.push((Artifact { file, packing, content }, path));
    }
    let folder = bundle.folder;
    let made: Vec<Result<Output>> = std::thread::scope(|scope| {
        let threads: Vec<_> = sources
            .iter()
            .map(|(artifact, path)| scope.spawn(move || bring(artifact, path, &folder.join(&artifact.file))))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("packing does not panic")).collect()
    });
    for made in made {
        let made = made?;
        bundle.add(&made.name, made.sha256, made.size_bytes);
    }
    Ok(sources.into_iter().map(|(artifact, _)| artifact).collect())
}

/// The file of an artifact, as it is in the bundle.
fn bring(artifact: &Artifact, from: &Path, to: &Path) -> Result<Output> {
    let name = artifact.file.clone();
    if artifact.packing == Packing::None {
        copy(from, to)?;
        return Ok(Output { name, ..artifact.content.clone() });
    }
    let packed = || -> std::io::Result<(Digest, u64)> {
        let mut source = BufReader::new(File::open(from)?);
        let mut target = BufWriter::new(File::create_new(to)?);
        pack(&mut source, artifact.content.size_bytes, &mut target, artifact.packing)?;
        target.flush()?;
        Digest::of_file(to)
    };
    let (sha256, size_bytes) =
        packed().with_context(|| format!("can't pack {} into {}", from.display(), to.display()))?;
    Ok(Output { name, size_bytes, sha256 })
}

/// A bundle while it grows.
pub struct Writer<'a> {
    folder: &'a Path,
    sums: Sums,
    size_bytes: u64,
}

impl<'a> Writer<'a> {
    pub fn new(folder: &'a Path) -> Writer<'a> {
        Writer { folder, sums: Sums::default(), size_bytes: 0 }
    }

    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Takes note of a file that is there.
    pub fn add(&mut self, name: &str, sha256: Digest, size_bytes: u64) {
        self.sums.0.insert(name.to_owned(), sha256);
        self.size_bytes += size_bytes;
    }

    pub fn write(&mut self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        self.add(name, Digest::of(text.as_bytes()), text.len() as u64);
        Ok(())
    }

    /// The sums, and the signature over them or the word that there is none.
    pub fn seal(mut self, signer: Option<&Signer>) -> Result<Bundle> {
        if signer.is_none() {
            self.write(UNSIGNED, UNSIGNED_TEXT)?;
        }
        let path = self.folder.join(SUMS);
        fs::write(&path, self.sums.text()).with_context(|| format!("can't write {}", path.display()))?;
        if let Some(signer) = signer {
            signer.sign(self.folder)?;
        }
        Ok(Bundle { sums: self.sums, size_bytes: self.size_bytes })
    }
}

/// The digests of a bundle's files, sums and signature among them, as a collection lists them.
pub fn listed(folder: &Path, bundle: &Bundle) -> Result<BTreeMap<String, (Digest, u64)>> {
    let mut listed = BTreeMap::new();
    let own = [SUMS, SIGNATURE].into_iter().filter(|name| folder.join(name).exists());
    for name in own.chain(bundle.sums.0.keys().map(String::as_str)) {
        let path = folder.join(name);
        let digest = match bundle.sums.get(name) {
            Some(digest) => fs::metadata(&path).map(|metadata| (digest, metadata.len())),
            None => Digest::of_file(&path),
        };
        listed.insert(name.to_owned(), digest.with_context(|| format!("can't read {}", path.display()))?);
    }
    Ok(listed)
}
