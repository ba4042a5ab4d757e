//! `cargo xtask release check`: is a bundle what was released, and who released it?

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::Args;
use release::{
    bundle::{Release, SIGNATURE, SUMS},
    check::{Options, Problem, check},
};

use crate::{
    bundle::{PublicKey, Verdict, signer_of, verify},
    report::bytes,
};

#[derive(Args, Debug)]
pub struct Check {
    /// The folder with the bundle: that with SHA256SUMS in it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The key that must have signed it: a file, or the key itself (`ssh-ed25519 AAAA…`)
    #[arg(long, value_name = "FILE|KEY")]
    public_key: Option<String>,
    /// Unpack what is packed, and compare that with the manifest as well
    #[arg(long)]
    unpack: bool,
}

pub fn run(arguments: &Check) -> Result<ExitCode> {
    let key = arguments.public_key.as_deref().map(PublicKey::parse).transpose()?;
    let folder = &arguments.folder;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options { jobs, unpack: arguments.unpack };
    // Nothing that the folder says is believed before this.
    let signed = match &key {
        Some(key) if folder.join(SUMS).is_file() => Some(verify(folder, key)?),
        _ => None,
    };
    let mut problems: Vec<String> = signed.iter().filter_map(signature_problem).collect();
    let checked = match check(folder, options) {
        Ok(checked) => Some(checked),
        Err(found) => {
            problems.extend(found.iter().map(Problem::to_string));
            None
        }
    };
    let Some(checked) = checked.filter(|_| problems.is_empty()) else {
        match problems.as_slice() {
            [only] => bail!("{only}"),
            all => bail!("{} problems with {}:\n  {}", all.len(), folder.display(), all.join("\n  ")),
        }
    };
    let source = checked.release.source();
    let what = match &checked.release {
        Release::Profile(release) => release.profile.clone(),
        Release::Collection(collection) => collection.profiles.join(", "),
    };
    println!(
        "{what} {} ({}): {} files, {}",
        source.version,
        source.date,
        checked.files,
        bytes(checked.size_bytes)
    );
    println!("  every file is what {SUMS} says");
    println!("  {}", signature_line(arguments, signed, checked.has_signature)?);
    Ok(ExitCode::SUCCESS)
}

fn signature_problem(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Good { .. } => None,
        Verdict::Unsigned => Some(format!("nobody has signed this release: there is no {SIGNATURE}")),
        Verdict::OtherKey { fingerprint } => {
            Some(format!("it was signed by another key than --public-key, {fingerprint}: don't trust it"))
        }
        Verdict::Broken => {
            Some(format!("{SIGNATURE} is no signature over this {SUMS}: one of the two was changed"))
        }
    }
}

fn signature_line(arguments: &Check, signed: Option<Verdict>, has_signature: bool) -> Result<String> {
    Ok(match (signed, has_signature) {
        (Some(Verdict::Good { fingerprint }), _) => format!("signed by {fingerprint}"),
        (_, false) => "UNSIGNED: whole, but nobody vouches for it".to_owned(),
        (_, true) => match signer_of(&arguments.folder)? {
            Some(fingerprint) => {
                format!("signed by {fingerprint}; whether that is the right key, --public-key finds out")
            }
            None => bail!("{SIGNATURE} is no signature over this {SUMS}: one of the two was changed"),
        },
    })
}
