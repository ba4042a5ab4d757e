//! `cargo xtask igvm sign`: an IGVM file with a signed ID block.

use std::{fs, fs::File, io::BufWriter, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;
use igvm::{IgvmFile, IgvmRevision};
use p384::{SecretKey, ecdsa::SigningKey, pkcs8::DecodePrivateKey as _};
use vtlforge_igvm::{foreign::Foreign, write};
use vtlforge_igvm_sign::{Identity, id_block};

/// Signs the SEV-SNP launch digest of a file into it, as an ID block: the processor then starts nothing else
#[derive(Parser, Debug)]
#[command(name = "cargo xtask igvm sign", bin_name = "cargo xtask igvm sign")]
struct Arguments {
    file: PathBuf,
    /// Private key on the curve P-384, in PEM (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384`)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file to be written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Of the guest's owner: 32 hexadecimal digits
    #[arg(long, value_parser = id, default_value = "00000000000000000000000000000000")]
    family_id: [u8; 16],
    #[arg(long, value_parser = id, default_value = "00000000000000000000000000000000")]
    image_id: [u8; 16],
    /// Security version of the guest
    #[arg(long, default_value_t = 1)]
    guest_svn: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let key_path = arguments.key.display();
    let pem = fs::read_to_string(&arguments.key).with_context(|| format!("can't read {key_path}"))?;
    // PKCS #8, or the older form of SEC 1 that openssl also writes.
    let key = SecretKey::from_pkcs8_pem(&pem).or_else(|_| SecretKey::from_sec1_pem(&pem));
    let key = key.ok().with_context(|| format!("{key_path} has no private key on the curve P-384 in PEM"))?;
    let foreign = Foreign::open(&arguments.file)?;
    let identity = Identity {
        family_id: arguments.family_id,
        image_id: arguments.image_id,
        version: 1,
        guest_svn: arguments.guest_svn,
    };
    let block = id_block(&foreign.file, &identity, &SigningKey::from(key))
        .with_context(|| arguments.file.display().to_string())?;
    let mut directives = foreign.file.directives().to_vec();
    directives.push(block);
    let revision = IgvmRevision::V1;
    let signed = IgvmFile::new(
        revision,
        foreign.file.platforms().to_vec(),
        foreign.file.initializations().to_vec(),
        directives,
    )?;
    let out = &arguments.out;
    let failed = || format!("can't write {}", out.display());
    let file = File::create(out).with_context(failed)?;
    write::write(&signed, foreign.arch, &mut BufWriter::new(file)).with_context(failed)?;
    Ok(())
}

fn id(text: &str) -> Result<[u8; 16], String> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    match digits {
        Some(digits) if digits.len() == 32 => {
            Ok(std::array::from_fn(|index| digits[2 * index] << 4 | digits[2 * index + 1]))
        }
        _ => Err("write 32 hexadecimal digits".to_string()),
    }
}
