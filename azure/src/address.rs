//! Where a blob is: an address without a secret in it, and the account that it belongs to.
//!
//! Source: "Naming and referencing containers, blobs, and metadata"; for emulators, whose addresses have the account in the
//! path, "Use the Azurite emulator".

use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::Url;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without a query.
    url: Url,
    /// None: the host doesn't say, since it is a domain of the account's owner.
    pub account: Option<String>,
    /// `CONTAINER/NAME`, as it is, not as it is written in addresses.
    pub path: String,
    /// An emulator on this machine.
    pub is_local: bool,
}

impl Address {
    /// From `https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME`, and the query, which may be a token.
    pub fn parse(text: &str) -> Result<(Address, Option<String>), String> {
        // What doesn't parse may still hold a signature.
        let shown = text.split('?').next().unwrap_or_default();
        let wrong = |why: &str| {
            format!(
                "`{shown}` is no address of a blob: {why}\nhint: it looks like \
                 https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd"
            )
        };
        let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let query = url.query().map(str::to_owned);
        url.set_query(None);
        url.set_fragment(None);
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address of a blob has no name or password in it".to_owned());
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let is_numeric = host.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('[');
        let is_local = host == "localhost" || host == "[::1]" || is_numeric && host.starts_with("127.");
        match url.scheme() {
            "https" => {}
            "http" if is_local => {}
            "http" => return Err(wrong("without TLS everybody on the way can read the token; use https")),
            _ => return Err(wrong("it is neither https nor, on this machine, http")),
        }
        let path = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
        let mut path = path.map_err(|_| wrong("its path is not UTF-8"))?.into_owned();
        let account = if is_local || is_numeric {
            let (account, rest) = path.split_once('/').ok_or_else(|| wrong("it names no container"))?;
            let account = account.to_owned();
            path = rest.to_owned();
            Some(account)
        } else {
            host.split_once('.')
                .filter(|(_, rest)| rest.starts_with("blob."))
                .map(|(name, _)| name.to_owned())
        };
        match path.split_once('/') {
            Some((container, name)) if !container.is_empty() && !name.is_empty() && !name.ends_with('/') => {}
            _ => return Err(wrong("it names no blob in a container")),
        }
        Ok((Address { url, account, path, is_local }, query))
    }

    /// With a query, which nobody else gets to see.
    pub fn with(&self, query: &str) -> Url {
        let mut url = self.url.clone();
        url.set_query(Some(query));
        url
    }

    /// Nothing on the way is encrypted, so nobody needs a certificate.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub fn container(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.url.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_blobs_are_read_from_addresses() {
        for (text, account, path, is_local) in [
            ("https://mine.blob.core.windows.net/images/a.vhd", Some("mine"), "images/a.vhd", false),
            (
                "https://mine.blob.core.usgovcloudapi.net/images/b/a%20b.vhd",
                Some("mine"),
                "images/b/a b.vhd",
                false,
            ),
            ("https://disks.example.org/images/a.vhd", None, "images/a.vhd", false),
            (
                "http://127.0.0.1:10000/devstoreaccount1/images/a.vhd",
                Some("devstoreaccount1"),
                "images/a.vhd",
                true,
            ),
            (
                "http://localhost:1/devstoreaccount1/images/a.vhd",
                Some("devstoreaccount1"),
                "images/a.vhd",
                true,
            ),
        ] {
            let (address, query) = Address::parse(text).unwrap();
            assert_eq!(
                (address.account.as_deref(), &address.path[..], address.is_local, query),
                (account, path, is_local, None)
            );
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_signature_is_kept_apart_and_not_shown() {
        let text = "https://mine.blob.core.windows.net/images/a.vhd?sv=1&sig=SECRET";
        let (address, query) = Address::parse(text).unwrap();
        assert_eq!(query.as_deref(), Some("sv=1&sig=SECRET"));
        assert!(!address.to_string().contains("SECRET") && !format!("{address:?}").contains("SECRET"));
        for text in
            ["images/a.vhd?sig=SECRET", "http://a.example.org/c/b?sig=SECRET", "https://a:SECRET@b/c/d"]
        {
            assert!(!Address::parse(text).unwrap_err().contains("SECRET"));
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for (text, wanted) in [
            ("images/a.vhd", "is no address"),
            ("az://images/a.vhd", "neither https"),
            ("http://mine.blob.core.windows.net/images/a.vhd", "without TLS"),
            ("https://mine.blob.core.windows.net/a.vhd", "names no blob"),
            ("https://mine.blob.core.windows.net/images/", "names no blob"),
            ("https://name:word@mine.blob.core.windows.net/images/a", "no name or password"),
            ("http://127.0.0.1:10000/devstoreaccount1", "names no container"),
        ] {
            let told = Address::parse(text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
    }
}
