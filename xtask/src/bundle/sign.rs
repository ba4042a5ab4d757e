//! Signatures over SHA256SUMS: OpenSSH's (PROTOCOL.sshsig), made and checked by ssh-keygen. Those of Ed25519 keys follow
//! from key and content alone.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};
use release::bundle::{SIGNATURE, SUMS};

/// Keeps a signature that was made for something else from counting here.
const NAMESPACE: &str = "vtlforge-release";
/// Whom the one key that is asked for belongs to, in the words of ssh-keygen.
const PRINCIPAL: &str = "release";

/// What signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A private key, or a public one whose private half the agent has.
    File(PathBuf),
    /// The only key that the agent has.
    Agent,
}

impl Key {
    pub fn parse(text: &str) -> Key {
        match text {
            "agent" => Key::Agent,
            path => Key::File(path.into()),
        }
    }
}

/// A key that is there and can be asked for signatures.
pub struct Signer {
    file: PathBuf,
    /// Holds `file` where the key came from the agent.
    _folder: Option<tempfile::TempDir>,
}

impl Signer {
    /// Finds the key before anything is built.
    pub fn find(key: &Key) -> Result<Signer> {
        match key {
            Key::File(path) => {
                let file = std::path::absolute(path)?;
                File::open(&file).with_context(|| format!("can't read the key {}", path.display()))?;
                let said = run(Command::new("ssh-keygen").arg("-l").arg("-f").arg(&file))?;
                if !said.status.success() {
                    bail!("{} is no key that ssh-keygen can read: {}", path.display(), words(&said));
                }
                Ok(Signer { file, _folder: None })
            }
            Key::Agent => {
                let said = run(Command::new("ssh-add").arg("-L"))?;
                let listed = String::from_utf8_lossy(&said.stdout).into_owned();
                let keys: Vec<&str> = listed.lines().collect();
                match (said.status.success(), keys.as_slice()) {
                    (true, [only]) => {
                        let folder = tempfile::tempdir()?;
                        let file = folder.path().join("key.pub");
                        fs::write(&file, format!("{only}\n"))?;
                        Ok(Signer { file, _folder: Some(folder) })
                    }
                    (true, [_, ..]) => bail!(
                        "the agent has {} keys\n  hint: name the public half of one: --key FILE.pub",
                        keys.len()
                    ),
                    _ => bail!("no key is to be had from the agent: {}\n  hint: ssh-add FILE", words(&said)),
                }
            }
        }
    }

    /// Writes the signature over the SHA256SUMS of `folder` beside it.
    pub fn sign(&self, folder: &Path) -> Result<()> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(&self.file).arg(folder.join(SUMS));
        // A passphrase is asked for on the terminal.
        let said = run(&mut command)?;
        if !said.status.success() {
            bail!("ssh-keygen can't sign with {}: {}", self.file.display(), words(&said));
        }
        Ok(())
    }
}

/// The key that a release has to be signed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// A file with a public key, or the key itself.
    pub fn parse(text: &str) -> Result<PublicKey> {
        let is_key = |line: &str| {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default();
            let known =
                ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| kind.starts_with(prefix));
            (known && words.next().is_some()).then(|| line.trim().to_owned())
        };
        if let Some(key) = is_key(text) {
            return Ok(PublicKey(key));
        }
        let content =
            fs::read_to_string(text).with_context(|| format!("can't read the public key {text}"))?;
        let keys: Vec<String> = content.lines().filter_map(is_key).collect();
        match keys.as_slice() {
            [only] => Ok(PublicKey(only.clone())),
            [] => bail!(
                "{text} holds no public key of OpenSSH\n  hint: it begins with `ssh-ed25519`; ssh-keygen wrote it beside the private one"
            ),
            _ => bail!("{text} holds {} keys: name a file with one", keys.len()),
        }
    }
}

/// What a signature turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By the key that was asked for.
    Good { fingerprint: String },
    /// There is none.
    Unsigned,
    /// A sound one, by another key.
    OtherKey { fingerprint: String },
    /// It doesn't belong to this SHA256SUMS: one of the two was changed.
    Broken,
}

/// Judges the signature over the SHA256SUMS of `folder`.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Verdict> {
    let signature = folder.join(SIGNATURE);
    if !signature.exists() {
        return Ok(Verdict::Unsigned);
    }
    let allowed = tempfile::NamedTempFile::new()?;
    fs::write(allowed.path(), format!("{PRINCIPAL} namespaces=\"{NAMESPACE}\" {}\n", key.0))?;
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-n", NAMESPACE, "-I", PRINCIPAL, "-f"]).arg(allowed.path());
    command.arg("-s").arg(&signature).stdin(sums(folder)?);
    let said = run(&mut command)?;
    if said.status.success() {
        return Ok(Verdict::Good { fingerprint: fingerprint(&said) });
    }
    Ok(match signer_of(folder)? {
        Some(fingerprint) => Verdict::OtherKey { fingerprint },
        None => Verdict::Broken,
    })
}

/// The fingerprint of the key that made a sound signature, whoever has that key; None if it isn't sound.
pub fn signer_of(folder: &Path) -> Result<Option<String>> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "check-novalidate", "-n", NAMESPACE, "-s"]).arg(folder.join(SIGNATURE));
    let said = run(command.stdin(sums(folder)?))?;
    Ok(said.status.success().then(|| fingerprint(&said)))
}

fn sums(folder: &Path) -> Result<Stdio> {
    let path = folder.join(SUMS);
    Ok(File::open(&path).with_context(|| format!("can't read {}", path.display()))?.into())
}

/// `Good "…" signature … with ED25519 key SHA256:…`
fn fingerprint(said: &Output) -> String {
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut words = text.split_whitespace();
    words.find(|word| word.starts_with("SHA256:")).unwrap_or("an unknown key").to_owned()
}

fn words(said: &Output) -> String {
    String::from_utf8_lossy(&said.stderr).trim().lines().next().unwrap_or("it said nothing").to_owned()
}

fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.env("LC_ALL", "C").output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!(
            "{program} is not installed, and signatures need it\n  hint: `cargo xtask doctor` says which package has it"
        ),
        _ => anyhow::Error::from(error).context(format!("can't run {program}")),
    })
}
