//! What opens a storage account: a shared access signature as it was given, or one for a single blob and an hour, made here
//! from the account's key. So a key signs nothing else, and there is one way to send a request.
//!
//! A secret comes from the environment or from a file; it has no `Debug`, and nothing prints it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use release::upload::{Request, SecretFile};
use ring::hmac;

use crate::address::Address;

/// Of the service's protocol, and of signatures.
pub const VERSION: &str = "2022-11-02";
/// Read, create, write; in the order that a signature has them.
const PERMISSIONS: &str = "rcw";
/// Longer than a request may take, and than clocks differ.
const VALID: Duration = Duration::from_secs(3600);

pub struct Secret {
    kind: Kind,
    /// What it came from, for people.
    pub origin: String,
}

enum Kind {
    Key { account: String, key: hmac::Key },
    Token(String),
}

/// What is needed to speak to a blob.
pub struct Access {
    pub address: Address,
    pub secret: Secret,
    /// Something that its user should know.
    pub note: Option<String>,
}

/// Where secrets are looked for; a value, so that tests need no environment.
pub type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

impl Access {
    pub fn find(request: &Request, variables: Variables) -> Result<Access, String> {
        let given = match &request.address {
            Some(text) => match Address::parse(text)? {
                (address, None) => Some(address),
                (_, Some(_)) => return Err("an address on the command line has no secret in it".to_owned()),
            },
            None => None,
        };
        let (text, origin, note) = read(&request.secret, variables)?;
        let text = text.trim();
        let (address, kind) = match text.strip_prefix("http").and_then(|rest| rest.split_once('?')) {
            Some((_, query)) => (of_url(text, &origin, given)?, token(query, &origin)?),
            None => {
                let address = given
                    .ok_or_else(|| format!("{origin} holds no address\nhint: name the blob with --to URL"))?;
                let kind = parse(text, &origin, &address, variables)?;
                (address, kind)
            }
        };
        Ok(Access { address, secret: Secret { kind, origin }, note })
    }

    /// The part of a request's query that opens the door.
    pub fn token(&self) -> String {
        match &self.secret.kind {
            Kind::Token(token) => token.clone(),
            Kind::Key { account, key } => sign(account, key, &self.address, SystemTime::now() + VALID),
        }
    }

    pub fn is_key(&self) -> bool {
        matches!(self.secret.kind, Kind::Key { .. })
    }

    /// Until when a token that was given says that it is valid.
    pub fn expiry(&self) -> Option<String> {
        let Kind::Token(token) = &self.secret.kind else { return None };
        let value = token.split('&').find_map(|part| part.strip_prefix("se="))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

/// The text of the secret, what it is called, and what there is to say about it.
fn read(secret: &SecretFile, variables: Variables) -> Result<(String, String, Option<String>), String> {
    let path = match secret {
        SecretFile::Key(path) | SecretFile::Sas(path) => path,
        SecretFile::Environment => {
            let names = ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY"];
            let found = names.iter().find_map(|name| Some((variables(name)?, *name)));
            let (text, name) = found.ok_or_else(|| {
                format!(
                    "there is no key or token to upload with\nhint: set {} or {}, or name a file with --sas-file \
                     or --key-file",
                    names[..2].join(", "),
                    names[2]
                )
            })?;
            return Ok((text, name.to_owned(), None));
        }
    };
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("can't read {shown}: {error}"))?;
    Ok((
        text,
        shown,
        is_open_to_others(path).then(|| format!("others can read {}: chmod 600", path.display())),
    ))
}

fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o077 != 0)
}

/// The blob of a signed URL, or the given one, if it lies where the URL is for.
fn of_url(text: &str, origin: &str, given: Option<Address>) -> Result<Address, String> {
    let Some(given) = given else { return Ok(Address::parse(text)?.0) };
    let base = text.split('?').next().unwrap_or_default().trim_end_matches('/');
    match given.to_string().strip_prefix(base) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(given),
        _ => Err(format!("the token in {origin} is for {base}, not for {given}")),
    }
}

/// A secret that is no URL.
fn parse(text: &str, origin: &str, address: &Address, variables: Variables) -> Result<Kind, String> {
    if text.is_empty() {
        return Err(format!("{origin} is empty"));
    }
    let fields: Vec<(&str, &str)> = text.split(';').filter_map(|field| field.split_once('=')).collect();
    let field = |name: &str| fields.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    match (field("SharedAccessSignature"), field("AccountKey")) {
        (Some(sas), _) => token(sas, origin),
        (None, Some(value)) => key(value, origin, field("AccountName").map(str::to_owned), address),
        (None, None) if text.contains("sig=") => token(text, origin),
        (None, None) => key(text, origin, variables("AZURE_STORAGE_ACCOUNT"), address),
    }
}

fn token(text: &str, origin: &str) -> Result<Kind, String> {
    let text = text.trim_start_matches('?');
    match text.split('&').any(|part| part.starts_with("sig=")) && !text.contains(char::is_whitespace) {
        true => Ok(Kind::Token(text.to_owned())),
        false => Err(format!("{origin} is no shared access signature: one has `sig=` in it, and no blanks")),
    }
}

fn key(text: &str, origin: &str, said: Option<String>, address: &Address) -> Result<Kind, String> {
    let bytes = STANDARD.decode(text).map_err(|_| {
        // Neither the text nor what is wrong in it: both tell of a secret.
        format!("{origin} is no account key: one is 64 bytes in base64, as `az storage account keys list` shows it")
    })?;
    let account = match (address.account.clone(), said) {
        (Some(address), Some(said)) if address != said => {
            return Err(format!(
                "the key is that of the account {said}, but the blob is in the account {address}"
            ));
        }
        (Some(account), _) | (None, Some(account)) => account,
        (None, None) => {
            return Err(
                "nothing says whose account the key is of\nhint: set AZURE_STORAGE_ACCOUNT".to_owned()
            );
        }
    };
    Ok(Kind::Key { account, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
}

/// A service SAS for one blob ("Create a service SAS", version 2020-12-06 and later).
fn sign(account: &str, key: &hmac::Key, address: &Address, until: SystemTime) -> String {
    let expiry = humantime::format_rfc3339_seconds(until).to_string();
    let protocol = if address.is_local { "https,http" } else { "https" };
    let resource = format!("/blob/{account}/{}", address.path);
    // Permissions, start, expiry, resource, identifier, IP, protocol, version, kind, snapshot, encryption, five headers.
    let fields =
        [PERMISSIONS, "", &expiry, &resource, "", "", protocol, VERSION, "b", "", "", "", "", "", "", ""];
    let signature = STANDARD.encode(hmac::sign(key, fields.join("\n").as_bytes()));
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!(
        "sv={VERSION}&sr=b&sp={PERMISSIONS}&se={}&spr={}&sig={}",
        escaped(&expiry),
        escaped(protocol),
        escaped(&signature)
    )
}

#[cfg(test)]
pub mod tests {
    use std::{io::Write as _, path::PathBuf};

    use release::upload::Verify;

    use super::*;

    const TO: &str = "https://mine.blob.core.windows.net/images/a.vhd";
    const KEY: &str = "a2V5IG9mIHRoZSB0ZXN0cw==";

    pub fn request(to: Option<&str>, secret: SecretFile) -> Request {
        Request {
            file: PathBuf::new(),
            address: to.map(str::to_owned),
            secret,
            parallel: 1,
            replace: false,
            verify: Verify::Sample,
            patience_seconds: 0,
            bare: None,
        }
    }

    fn find(to: Option<&str>, secret: SecretFile, variables: &[(&str, &str)]) -> Result<Access, String> {
        let request = request(to, secret);
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Access::find(&request, &value)
    }

    fn by_variable(to: Option<&str>, variables: &[(&str, &str)]) -> Result<Access, String> {
        find(to, SecretFile::Environment, variables)
    }

    #[test]
    fn each_form_of_a_secret_opens() {
        let connection = format!(
            "DefaultEndpointsProtocol=https;AccountName=mine;AccountKey={KEY};EndpointSuffix=core.windows.net"
        );
        let endpoint = "BlobEndpoint=https://mine.blob.core.windows.net;SharedAccessSignature=sv=1&sig=abc";
        for (name, value, is_key) in [
            ("AZURE_STORAGE_KEY", KEY, true),
            ("AZURE_STORAGE_CONNECTION_STRING", &connection, true),
            ("AZURE_STORAGE_CONNECTION_STRING", endpoint, false),
            ("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=abc", false),
        ] {
            let access =
                by_variable(Some(TO), &[(name, value)]).map_err(|why| format!("{name}: {why}")).unwrap();
            assert_eq!((access.is_key(), &access.secret.origin[..]), (is_key, name));
            let token = access.token();
            assert!(token.contains("sig=") && !token.starts_with('?') && !token.contains(KEY), "{token}");
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{TO}?sv=1&se=2020-01-02T00%3A00%3A00Z&sig=abc").unwrap();
        let access = find(None, SecretFile::Sas(file.path().to_owned()), &[]).unwrap();
        assert_eq!((access.address.to_string(), access.note), (TO.to_owned(), None));
        let access = find(None, SecretFile::Sas(file.path().to_owned()), &[]).unwrap();
        assert_eq!(access.expiry().as_deref(), Some("2020-01-02T00:00:00Z"));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let access = find(Some(TO), SecretFile::Sas(file.path().to_owned()), &[]).unwrap();
        assert!(access.note.unwrap().contains("chmod 600"));
    }

    #[test]
    fn what_opens_nothing_is_told_without_being_shown() {
        let other = format!("AccountName=other;AccountKey={KEY}");
        let url = "https://other.blob.core.windows.net/images?sv=1&sig=SECRET";
        for (to, variables, wanted) in [
            (Some(TO), &[][..], "no key or token"),
            (Some(TO), &[("AZURE_STORAGE_KEY", "SECRET!")][..], "no account key"),
            (Some(TO), &[("AZURE_STORAGE_KEY", " ")], "is empty"),
            (Some(TO), &[("AZURE_STORAGE_KEY", KEY), ("AZURE_STORAGE_ACCOUNT", "other")], "account other"),
            (Some(TO), &[("AZURE_STORAGE_CONNECTION_STRING", &other)], "account other"),
            (Some("https://my.example.org/c/b"), &[("AZURE_STORAGE_KEY", KEY)], "AZURE_STORAGE_ACCOUNT"),
            (None, &[("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=SECRET")], "--to URL"),
            (Some(TO), &[("AZURE_STORAGE_SAS_TOKEN", "SECRET SECRET sig=")], "no shared access signature"),
            (
                Some(TO),
                &[("AZURE_STORAGE_SAS_TOKEN", url)],
                "is for https://other.blob.core.windows.net/images, not",
            ),
            (None, &[("AZURE_STORAGE_SAS_TOKEN", url)], "no blob"),
        ] {
            let told = by_variable(to, variables).err().unwrap();
            assert!(told.contains(wanted) && !told.contains("SECRET"), "{told}");
        }
    }

    /// The digest is that of OpenSSL: `printf … | openssl dgst -sha256 -hmac 'key of the tests' -binary | base64`.
    #[test]
    fn a_signature_is_over_the_fields_in_their_order() {
        let access = by_variable(Some(TO), &[("AZURE_STORAGE_KEY", KEY)]).unwrap();
        let Kind::Key { account, key } = &access.secret.kind else { panic!() };
        let token = sign(account, key, &access.address, SystemTime::UNIX_EPOCH + VALID);
        let (head, signature) = token.split_once("&sig=").unwrap();
        assert_eq!(
            head,
            "sv=2022%2D11%2D02&sr=b&sp=rcw&se=1970%2D01%2D01T01%3A00%3A00Z&spr=https"
                .replace("%2D11%2D02", "-11-02")
        );
        let signature = percent_encoding::percent_decode_str(signature).decode_utf8().unwrap();
        assert_eq!(signature, "lqGbPF6tYF0cPksvKptSyVWCMplyijN7SX7fomZtvbY=");
    }
}
