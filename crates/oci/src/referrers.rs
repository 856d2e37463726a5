//! Referrers: the manifests that name another one as their subject (distribution-spec "Listing Referrers").
//!
//! Must not know where a list comes from. Invariant: a list is bounded, and what is written is an image index with the
//! fields the spec asks for and no others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_REFERRERS};
use crate::manifest::ManifestFacts;
use crate::manifest_error::ManifestError;
use crate::media_type::MediaType;
use crate::newtype::shorten;

/// One manifest that refers to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The kind of manifest.
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Referrer {
    /// How a manifest with a subject is listed: its artifact type (of an image without one, its configuration's type),
    /// and its annotations as they are (distribution-spec "Listing Referrers").
    pub fn describe(bytes: &[u8], digest: Digest, facts: &ManifestFacts) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Annotated {
            #[serde(default)]
            annotations: Option<BTreeMap<String, String>>,
        }
        let annotated: Annotated = serde_json::from_slice(bytes).map_err(|error| ManifestError::InvalidField {
            field: "annotations",
            reason: shorten(&error.to_string()),
        })?;
        let of_config = facts.config.as_ref().map(|config| config.media_type.to_string());
        Ok(Self {
            media_type: facts.media_type.clone(),
            digest,
            size: bytes.len() as u64,
            artifact_type: facts.artifact_type.clone().filter(|kind| !kind.is_empty()).or(of_config),
            annotations: annotated.annotations,
        })
    }
}

/// Why a document is no list of referrers.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReferrers {
    /// It is larger than a manifest may be.
    #[error("the list of referrers is larger than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    /// It lists too many.
    #[error("more than {MAX_REFERRERS} referrers")]
    TooMany,
    /// It is not an image index.
    #[error("not an image index: {0}")]
    Syntax(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Index {
    manifests: Option<Vec<Referrer>>,
}

/// Reads an image index that lists referrers. An index with `manifests: null` lists none.
pub fn parse_referrers(document: &[u8]) -> Result<Vec<Referrer>, InvalidReferrers> {
    if document.len() > MAX_MANIFEST_BYTES {
        return Err(InvalidReferrers::TooLarge);
    }
    // An array would be read as the fields of a struct in their order.
    let object: BTreeMap<&str, &serde_json::value::RawValue> =
        serde_json::from_slice(document).map_err(InvalidReferrers::Syntax)?;
    let index = match object.get("manifests") {
        Some(_) => serde_json::from_slice::<Index>(document).map_err(InvalidReferrers::Syntax)?,
        None => Index { manifests: None },
    };
    let listed = index.manifests.unwrap_or_default();
    if listed.len() > MAX_REFERRERS { Err(InvalidReferrers::TooMany) } else { Ok(listed) }
}

/// Writes the image index that answers a question for referrers.
#[expect(clippy::missing_panics_doc, reason = "strings and numbers can always be written")]
pub fn referrers_index(referrers: &[Referrer]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        schema_version: u8,
        media_type: &'static str,
        manifests: &'a [Referrer],
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = Written { schema_version: 2, media_type, manifests: referrers };
    serde_json::to_vec(&index).expect("strings and numbers can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(seed: &str) -> Referrer {
        Referrer {
            media_type: MediaType::OCI_IMAGE_MANIFEST,
            digest: Digest::sha256_of(seed.as_bytes()),
            size: 7,
            artifact_type: Some("application/vnd.example.sbom".into()),
            annotations: Some([("a".to_owned(), "b".to_owned())].into()),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_is_null() {
        let bare = Referrer { artifact_type: None, annotations: None, ..referrer("bare") };
        let listed = vec![referrer("one"), bare];
        let document = referrers_index(&listed);
        assert!(!String::from_utf8(document.clone()).unwrap().contains("null"));
        assert_eq!(parse_referrers(&document).unwrap(), listed);
        assert_eq!(parse_referrers(br#"{"schemaVersion":2,"manifests":null}"#).unwrap(), []);
        assert_eq!(parse_referrers(b"{}").unwrap(), []);
    }

    #[test]
    fn a_manifest_is_listed_by_what_it_says_of_itself() {
        let described = |text: &str| {
            let facts = ManifestFacts::parse(text.as_bytes(), None).unwrap();
            Referrer::describe(text.as_bytes(), Digest::sha256_of(text.as_bytes()), &facts)
        };
        let empty = Digest::sha256_of(b"{}");
        let config =
            format!(r#""config":{{"mediaType":"application/vnd.example.config","digest":"{empty}","size":2}}"#);
        let image = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{config},"layers":[],"annotations":{{"a":"b"}}}}"#
        );
        let listed = described(&image).unwrap();
        assert_eq!(listed.artifact_type.as_deref(), Some("application/vnd.example.config"));
        assert_eq!(listed.annotations, Some([("a".to_owned(), "b".to_owned())].into()));
        assert_eq!(listed.size, image.len() as u64);

        let named = image.replacen('{', r#"{"artifactType":"application/vnd.example.sbom","#, 1);
        assert_eq!(described(&named).unwrap().artifact_type.as_deref(), Some("application/vnd.example.sbom"));
        let index = r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert_eq!(described(index).unwrap().artifact_type, None);
        assert!(described(&image.replace(r#""b""#, "1")).is_err(), "annotations are text");
    }

    #[test]
    fn other_documents_and_endless_lists_are_refused() {
        for document in ["", "[]", "[[]]", "<html>", r#"{"manifests":{}}"#, r#"{"manifests":[{"digest":"sha256:x"}]}"#]
        {
            assert!(parse_referrers(document.as_bytes()).is_err(), "{document}");
        }
        let many = vec![Referrer { artifact_type: None, annotations: None, ..referrer("x") }; MAX_REFERRERS + 1];
        assert!(parse_referrers(&referrers_index(&many)).is_err());
    }
}
