//! One page blob: the requests of the Blob Storage REST API that an upload needs.
//!
//! Source: the pages of that reference that have the operations' names.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use release::Digest;
use reqwest::{
    Method,
    header::{CONTENT_LENGTH, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH},
};
use serde::Deserialize;

use crate::{
    ranges,
    request::{Call, Line, Trouble, text},
    secret::Access,
};

/// What an upload has written into the blob's metadata. Their names are identifiers: no hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    pub state: State,
    /// The source's sketch, and when all of it is there, its identity.
    pub source: Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Something of the source is missing, or not yet compared.
    Uploading,
    Complete,
}

/// What a blob says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    pub etag: String,
    pub is_page_blob: bool,
    pub size_bytes: u64,
    /// Somebody holds it, and for good.
    pub is_leased_for_good: bool,
    /// None: no upload of ours made it.
    pub marks: Option<Marks>,
}

/// What the service says of pages that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// Their digest, which is ours.
    Same,
    /// Another digest.
    Other,
    /// No digest: an emulator doesn't reckon it.
    Unsaid,
}

pub struct Blob<'a>(pub Line<'a>);

const STATE: &str = "x-ms-meta-vtlforge_state";
const SOURCE: &str = "x-ms-meta-vtlforge_source";
const LEASE: &str = "x-ms-lease-id";
const CONTENT_MD5: &str = "content-md5";

impl Blob<'_> {
    pub fn access(&self) -> &Access {
        self.0.access()
    }

    /// None: there is no such blob.
    pub fn properties(&self) -> Result<Option<Properties>, Trouble> {
        match self.0.send(&Call::new(Method::HEAD, "")) {
            Ok(answer) => properties(&answer.headers).map(Some),
            Err(Trouble::Refused(why)) if why.status == 404 && why.code != "ContainerNotFound" => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// A page blob of zeros: a new one, or in the place of what has this tag.
    /// Returns its tag.
    pub fn create(
        &self,
        size_bytes: u64,
        marks: &Marks,
        instead_of: Option<&str>,
    ) -> Result<String, Trouble> {
        let call = Call::new(Method::PUT, "")
            .header("x-ms-blob-type", "PageBlob")
            .header("x-ms-blob-content-length", size_bytes.to_string())
            .header("x-ms-blob-content-type", "application/octet-stream");
        let call = match instead_of {
            Some(etag) => call.header(IF_MATCH.as_str(), etag),
            None => call.header(IF_NONE_MATCH.as_str(), "*"),
        };
        tag(&self.0.send(&marked(call, marks))?.headers)
    }

    /// Writes pages; the service compares what it got with the digest, and answers with its own. At most 4 MiB.
    pub fn put_page(&self, range: &Range<u64>, bytes: Bytes, lease: Option<&str>) -> Result<Got, Trouble> {
        let digest = STANDARD.encode(Md5::digest(&bytes));
        let call = Call::new(Method::PUT, "comp=page")
            .header("x-ms-page-write", "update")
            .header("x-ms-range", span(range))
            .header(CONTENT_MD5, digest.clone())
            .body(bytes);
        let call = match lease {
            Some(lease) => call.header(LEASE, lease),
            None => call,
        };
        Ok(got(text(&self.0.send(&call)?.headers, CONTENT_MD5).as_deref(), &digest))
    }

    pub fn read(&self, range: &Range<u64>) -> Result<Bytes, Trouble> {
        let size_bytes = range.end - range.start;
        let call = Call::new(Method::GET, "").header("x-ms-range", span(range)).answer_bytes(size_bytes);
        let body = self.0.send(&call)?.body;
        match body.len() as u64 == size_bytes {
            true => Ok(body),
            false => Err(foreign()),
        }
    }

    /// Where the blob has pages, joined.
    pub fn page_ranges(&self) -> Result<Vec<Range<u64>>, Trouble> {
        let (mut found, mut query) = (Vec::new(), "comp=pagelist".to_owned());
        loop {
            let list = page_list(&self.0.send(&Call::new(Method::GET, &query))?.body)?;
            found.extend(list.ranges.iter().map(|range| range.start..range.end.saturating_add(1)));
            if list.next_marker.is_empty() {
                return Ok(ranges::joined(found));
            }
            query =
                format!("comp=pagelist&marker={}", utf8_percent_encode(&list.next_marker, NON_ALPHANUMERIC));
        }
    }

    pub fn mark(&self, marks: &Marks, lease: &str) -> Result<(), Trouble> {
        let call = Call::new(Method::PUT, "comp=metadata").header(LEASE, lease);
        self.0.send(&marked(call, marks)).map(drop)
    }

    /// Takes the lease for some seconds, and returns the blob's tag. Whoever has it with this id gets it again.
    pub fn acquire(&self, lease: &str, seconds: u64) -> Result<String, Trouble> {
        let call = Call::new(Method::PUT, "comp=lease")
            .header("x-ms-lease-action", "acquire")
            .header("x-ms-lease-duration", seconds.to_string())
            .header("x-ms-proposed-lease-id", lease);
        tag(&self.0.send(&call)?.headers)
    }

    pub fn renew(&self, lease: &str) -> Result<(), Trouble> {
        let call = Call::new(Method::PUT, "comp=lease").header("x-ms-lease-action", "renew");
        self.0.send(&call.header(LEASE, lease)).map(drop)
    }

    pub fn release(&self, lease: &str) -> Result<(), Trouble> {
        let call = Call::new(Method::PUT, "comp=lease").header("x-ms-lease-action", "release");
        self.0.send(&call.header(LEASE, lease)).map(drop)
    }
}

fn got(said: Option<&str>, wanted: &str) -> Got {
    match said {
        None => Got::Unsaid,
        Some(said) if said == wanted => Got::Same,
        Some(_) => Got::Other,
    }
}

/// "Specifying the range header for Blob service operations": both ends count.
fn span(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end - 1)
}

fn marked<'a>(call: Call<'a>, marks: &Marks) -> Call<'a> {
    let state = match marks.state {
        State::Uploading => "uploading",
        State::Complete => "complete",
    };
    call.header(STATE, state).header(SOURCE, marks.source.to_string())
}

fn tag(headers: &HeaderMap) -> Result<String, Trouble> {
    text(headers, ETAG.as_str()).ok_or_else(foreign)
}

fn foreign() -> Trouble {
    Trouble::Unreachable("what answers is no Azure Blob Storage".to_owned())
}

fn properties(headers: &HeaderMap) -> Result<Properties, Trouble> {
    let state = text(headers, STATE).and_then(|state| match &state[..] {
        "uploading" => Some(State::Uploading),
        "complete" => Some(State::Complete),
        _ => None,
    });
    let source = text(headers, SOURCE).and_then(|source| source.parse().ok());
    let size = text(headers, CONTENT_LENGTH.as_str()).and_then(|size| size.parse().ok());
    Ok(Properties {
        etag: tag(headers)?,
        is_page_blob: text(headers, "x-ms-blob-type").ok_or_else(foreign)? == "PageBlob",
        size_bytes: size.ok_or_else(foreign)?,
        is_leased_for_good: text(headers, "x-ms-lease-duration")
            .is_some_and(|duration| duration == "infinite"),
        marks: state.zip(source).map(|(state, source)| Marks { state, source }),
    })
}

/// The answer of Get Page Ranges.
#[derive(Debug, Deserialize)]
struct PageList {
    #[serde(rename = "PageRange", default)]
    ranges: Vec<PageRange>,
    #[serde(rename = "NextMarker", default)]
    next_marker: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageRange {
    start: u64,
    /// Counts.
    end: u64,
}

fn page_list(body: &[u8]) -> Result<PageList, Trouble> {
    // Some of the service's documents begin with a byte order mark.
    let text = String::from_utf8_lossy(body);
    quick_xml::de::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Trouble::Unreachable(format!("its list of pages can't be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_digest_is_compared_where_there_is_one() {
        assert_eq!(got(Some("qqq="), "qqq="), Got::Same);
        assert_eq!(got(Some("rrr="), "qqq="), Got::Other);
        assert_eq!(got(None, "qqq="), Got::Unsaid);
    }

    /// The example of the reference, and its smallest form.
    #[test]
    fn lists_of_pages_are_read() {
        let list = page_list(
            b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><PageList><PageRange><Start>0</Start><End>511</End></PageRange>\
              <PageRange><Start>1024</Start><End>2047</End></PageRange><NextMarker>x y</NextMarker></PageList>",
        )
        .unwrap();
        let found: Vec<_> = list.ranges.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!((found, &list.next_marker[..]), (vec![(0, 511), (1024, 2047)], "x y"));
        for empty in [&b"<PageList/>"[..], b"<?xml version=\"1.0\"?><PageList><NextMarker/></PageList>"] {
            let list = page_list(empty).unwrap();
            assert!(list.ranges.is_empty() && list.next_marker.is_empty());
        }
        for wrong in [&b""[..], b"<html>", b"<PageList><PageRange><Start>x</Start></PageRange></PageList>"] {
            assert!(matches!(page_list(wrong), Err(Trouble::Unreachable(_))));
        }
    }
}
