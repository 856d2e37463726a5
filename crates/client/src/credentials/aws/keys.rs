//! The keys that AWS requests are signed with, and the shape in which AWS's services hand them out.
//!
//! Must not know who hands them out. Invariant: temporary keys come whole, with their session token.

use serde::Deserialize;

use crate::json_object;
use crate::secret::Secret;

/// An access key; temporary ones come with a session token.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: Secret,
    /// Of a temporary key.
    pub session_token: Option<Secret>,
}

/// The document of the metadata and container services.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
}

impl AwsKeys {
    /// Reads the document of a service that hands out temporary keys. The error quotes nothing of it.
    pub(super) fn of_document(document: &[u8]) -> Result<Self, String> {
        let document: Document = json_object::parse(document).map_err(|why| format!("cannot be read: {why}"))?;
        if document.code.is_some_and(|code| code != "Success") {
            return Err("says that there are no keys".to_owned());
        }
        Self::temporary(document.access_key_id, document.secret_access_key, document.token)
            .ok_or_else(|| "holds no whole set of temporary keys".to_owned())
    }

    /// Temporary keys, when all three parts are there.
    pub(super) fn temporary(id: Option<String>, secret: Option<String>, session: Option<String>) -> Option<Self> {
        let given = |part: Option<String>| part.filter(|part| !part.is_empty());
        Some(Self {
            access_key_id: given(id)?,
            secret_access_key: Secret::new(given(secret)?),
            session_token: Some(Secret::new(given(session)?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_keys_come_whole_or_not_at_all() {
        let whole =
            br#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"canary","Token":"canary","Expiration":"x"}"#;
        let keys = AwsKeys::of_document(whole).unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.session_token.unwrap().expose()), ("A", "canary"));
        for broken in [
            r#"{"AccessKeyId":"A","SecretAccessKey":"canary"}"#,
            r#"{"Code":"Failed","AccessKeyId":"A","SecretAccessKey":"canary","Token":"canary"}"#,
            r#"{"AccessKeyId":"","SecretAccessKey":"canary","Token":"canary"}"#,
            r#"{"AccessKeyId":5,"SecretAccessKey":"canary"}"#,
            "canary",
        ] {
            let error = AwsKeys::of_document(broken.as_bytes()).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
