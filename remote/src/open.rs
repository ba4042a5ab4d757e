//! From an address to a store.

use std::{fmt::Display, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    local::LocalFileSystem,
    path::Path,
};
use url::Url;

/// A build that waits for a store longer than that had better do the work itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the connection, and for one part of an object.
const TIMEOUTS: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::ConnectTimeout, "5 seconds"), (ClientConfigKey::Timeout, "60 seconds")];

pub struct Store {
    pub objects: Arc<dyn ObjectStore>,
    /// Of everything in it.
    pub prefix: Path,
}

/// `/a/folder`, `az://container/path`, `s3://bucket/path`, or an https address of either.
pub fn open(address: &str) -> Result<Store, String> {
    if address.starts_with('/') {
        let objects = LocalFileSystem::new_with_prefix(address).map_err(|error| words(&error))?;
        return Ok(Store { objects: Arc::new(objects), prefix: Path::default() });
    }
    let url = Url::parse(address).map_err(|error| format!("`{address}` is no address: {error}"))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| words(&error))?;
    let settings = settings()?;
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() },
        max_retries: 3,
        retry_timeout: PATIENCE,
    };
    let objects: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let mut builder = AmazonS3Builder::new().with_url(address).with_retry(retry);
            for (key, value) in known::<AmazonS3ConfigKey>(&settings) {
                builder = builder.with_config(key, value);
            }
            for (key, value) in TIMEOUTS {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
            Arc::new(builder.build().map_err(|error| words(&error))?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(address).with_retry(retry);
            for (key, value) in known::<AzureConfigKey>(&settings) {
                builder = builder.with_config(key, value);
            }
            for (key, value) in TIMEOUTS {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            Arc::new(builder.build().map_err(|error| words(&error))?)
        }
        ObjectStoreScheme::Local => {
            let path = url.to_file_path().map_err(|()| format!("`{address}` names no folder"))?;
            let objects = LocalFileSystem::new_with_prefix(path).map_err(|error| words(&error))?;
            return Ok(Store { objects: Arc::new(objects), prefix: Path::default() });
        }
        _ => return Err(format!("`{address}` is no store that can be used: az://, s3:// or a folder")),
    };
    Ok(Store { objects, prefix })
}

/// Those settings that a kind of store knows.
fn known<K: FromStr>(settings: &[(String, String)]) -> Vec<(K, String)> {
    settings.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.clone()))).collect()
}

/// Variables of the environment, then those of the file with secrets, in small letters.
fn settings() -> Result<Vec<(String, String)>, String> {
    let wanted = |name: &str| name.starts_with("aws_") || name.starts_with("azure_");
    let mut settings: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.to_str()?.to_ascii_lowercase(), value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect();
    let Some(file) = std::env::var_os("VTLFORGE_REMOTE_SECRETS") else { return Ok(settings) };
    let shown = file.to_string_lossy().into_owned();
    let text = std::fs::read_to_string(&file).map_err(|error| format!("can't read {shown}: {error}"))?;
    for (number, line) in
        (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        // The line itself may be a secret.
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("{shown}:{number}: not NAME=VALUE"))?;
        settings.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(settings)
}

/// An error with its causes, without the addresses in it: they may be signed.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words += &format!(": {more}");
        }
        cause = error.source();
    }
    without_queries(&words)
}

fn without_queries(text: &dyn Display) -> String {
    let text = text.to_string();
    let cut = |word: &str| match word.split_once('?') {
        Some((head, _)) if head.contains("://") => format!("{head}?…"),
        _ => word.to_owned(),
    };
    text.split_whitespace().map(cut).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_signs_an_address_is_not_told() {
        let told =
            without_queries(&"can't reach https://a.blob.core.windows.net/c/k?sv=1&sig=SECRET (timeout)");
        assert_eq!(told, "can't reach https://a.blob.core.windows.net/c/k?… (timeout)");
    }

    #[test]
    fn addresses_of_no_store_are_told() {
        for (address, wanted) in [
            ("cache", "is no address"),
            ("gs://bucket/cache", "is no store that can be used"),
            ("/nowhere/at/all", "nowhere"),
            ("http://example.org/cache", "is no store that can be used"),
        ] {
            let told = open(address).err().unwrap();
            assert!(told.contains(wanted), "{address}: {told}");
        }
    }
}
