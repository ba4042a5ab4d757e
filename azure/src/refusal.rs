//! What the service's refusals mean here, and what to do.
//!
//! Source: "Common REST API error codes", "Blob Storage error codes".

use std::time::SystemTime;

use crate::{
    request::{Refusal, Trouble},
    secret::Access,
};

/// Why an upload ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Told to; what was begun is finished.
    Stopped,
    /// The last line may begin with `hint: `.
    Failed(String),
}

/// In words. `doing` is what was tried: `can't create the blob`.
pub fn end(doing: &str, trouble: Trouble, access: &Access) -> End {
    match trouble {
        Trouble::Stopped => End::Stopped,
        Trouble::Unreachable(why) => End::Failed(format!("{doing} {}: {why}", access.address)),
        Trouble::Refused(refusal) => {
            let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            End::Failed(format!("{doing} {}: {}", access.address, explain(&refusal, access, &now)))
        }
    }
}

fn explain(refusal: &Refusal, access: &Access, now: &str) -> String {
    let origin = &access.secret.origin;
    let clocks = format!("the service's clock says {}, the one here {now}", refusal.date);
    // Both in UTC and written the same way, so that earlier is smaller.
    if let (Some(expiry), 401 | 403) = (access.expiry(), refusal.status)
        && expiry[..] < *now
    {
        return format!(
            "the token in {origin} expired at {expiry}\nhint: make a new one, `az storage blob generate-sas \
             --permissions rcw`; an upload goes on where it ended"
        );
    }
    let code = &refusal.code[..];
    match (code, refusal.status) {
        ("AuthenticationFailed" | "InvalidAuthenticationInfo" | "AuthorizationFailure", _)
            if access.is_key() =>
        {
            format!(
                "the key in {origin} is refused ({code})\nhint: list the account's keys with `az storage account \
                 keys list`; the account's firewall has to let this machine in; {clocks}"
            )
        }
        ("AuthenticationFailed" | "InvalidAuthenticationInfo" | "AuthorizationFailure", _) => format!(
            "the token in {origin} is refused ({code})\nhint: it has to be for this account and blob, and valid now: it \
             ends at {}, {clocks}; the account's firewall has to let this machine in",
            access.expiry().as_deref().unwrap_or("no time it tells")
        ),
        (
            "AuthorizationPermissionMismatch"
            | "AuthorizationResourceTypeMismatch"
            | "AuthorizationServiceMismatch",
            _,
        ) => {
            format!(
                "the token in {origin} doesn't allow it\nhint: it needs the permissions r, c and w for the blob \
                 (`--permissions rcw`)"
            )
        }
        ("PublicAccessNotPermitted" | "KeyBasedAuthenticationNotPermitted", _) => format!(
            "the account takes no keys ({code})\nhint: use a token of a person: `az storage blob generate-sas --as-user`"
        ),
        ("ContainerNotFound", _) => format!(
            "there is no container `{0}`\nhint: az storage container create --name {0}",
            access.address.container()
        ),
        ("LeaseIdMissing" | "LeaseAlreadyPresent", _) => {
            "somebody holds a lease on it: another upload, or a disk \
             that is made from it\nhint: `az storage blob lease break` ends one that nobody needs"
                .to_owned()
        }
        (
            "LeaseLost"
            | "LeaseIdMismatchWithBlobOperation"
            | "LeaseIdMismatchWithLeaseOperation"
            | "LeaseNotPresentWithBlobOperation"
            | "LeaseNotPresentWithLeaseOperation"
            | "LeaseIsBrokenAndCannotBeRenewed",
            _,
        ) => "its lease was taken from this upload, so somebody else may be writing to it".to_owned(),
        ("ConditionNotMet", _) => "it has changed in this moment: somebody else writes to it".to_owned(),
        ("Md5Mismatch", _) => "the data changed on its way".to_owned(),
        ("BlobImmutableDueToPolicy", _) => "a policy of the container forbids to change it".to_owned(),
        ("", status) => format!("the service answers {status}"),
        (code, status) => format!("the service answers {status} {code}"),
    }
}

#[cfg(test)]
mod tests {
    use release::upload::SecretFile;

    use super::*;

    fn told(code: &str, status: u16, secret: (&str, &str)) -> String {
        let request = crate::secret::tests::request(
            Some("https://mine.blob.core.windows.net/images/a.vhd"),
            SecretFile::Environment,
        );
        let value = |name: &str| (name == secret.0).then(|| secret.1.to_owned());
        let access = Access::find(&request, &value).unwrap();
        let refusal = Refusal { status, code: code.to_owned(), date: "DATE".to_owned() };
        explain(&refusal, &access, "2026-01-01T00:00:00Z")
    }

    #[test]
    fn refusals_are_told_with_what_to_do_and_without_the_secret() {
        let key = ("AZURE_STORAGE_KEY", "U0VDUkVU");
        let ended = ("AZURE_STORAGE_SAS_TOKEN", "sv=1&se=2025-12-31&sig=U0VDUkVU");
        let valid = ("AZURE_STORAGE_SAS_TOKEN", "sv=1&se=2026-12-31T00%3A00Z&sig=U0VDUkVU");
        for (code, status, secret, wanted) in [
            ("AuthenticationFailed", 403, key, "the key in AZURE_STORAGE_KEY is refused"),
            ("AuthenticationFailed", 403, ended, "expired at 2025-12-31"),
            ("AuthenticationFailed", 403, valid, "the service's clock says DATE"),
            ("AuthorizationPermissionMismatch", 403, valid, "r, c and w"),
            ("ContainerNotFound", 404, key, "az storage container create --name images"),
            ("LeaseIdMissing", 412, key, "holds a lease"),
            ("LeaseIdMismatchWithBlobOperation", 412, key, "was taken from this upload"),
            ("SomethingNew", 409, key, "answers 409 SomethingNew"),
            ("", 400, key, "answers 400"),
        ] {
            let told = told(code, status, secret);
            assert!(told.contains(wanted) && !told.contains("U0VDUkVU"), "{code}: {told}");
        }
    }
}
