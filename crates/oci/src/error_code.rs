//! The error body of the distribution spec ("Error Codes") and its codes.
//!
//! Must not know statuses: which code goes with which status is the server's business. Invariant: codes are written
//! exactly as the spec spells them; reading takes any code and any shape of message, since upstreams vary.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What went wrong, in the spec's words, plus three: `TagInvalid` from its earlier editions, and `RangeInvalid` and
/// `Unknown`, which are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The blob is not known here.
    BlobUnknown,
    /// The upload session is broken.
    BlobUploadInvalid,
    /// There is no such upload session.
    BlobUploadUnknown,
    /// A digest is malformed or does not match the content.
    DigestInvalid,
    /// A manifest refers to a manifest or blob that is not known here.
    ManifestBlobUnknown,
    /// The manifest is not valid.
    ManifestInvalid,
    /// The manifest is not known here.
    ManifestUnknown,
    /// The repository name is not valid.
    NameInvalid,
    /// The repository is not known here.
    NameUnknown,
    /// A length does not match the content.
    SizeInvalid,
    /// Credentials are needed.
    Unauthorized,
    /// The credentials do not suffice, or a policy refuses.
    Denied,
    /// The operation is not supported.
    Unsupported,
    /// Too many requests.
    TooManyRequests,
    /// The tag is not valid (earlier editions of the spec).
    TagInvalid,
    /// The range cannot be satisfied (ours: the spec has no code for 416).
    RangeInvalid,
    /// None of the others: our own failures, and codes of upstreams that we do not know.
    Unknown,
}

impl ErrorCode {
    const ALL: [Self; 17] = [
        Self::BlobUnknown,
        Self::BlobUploadInvalid,
        Self::BlobUploadUnknown,
        Self::DigestInvalid,
        Self::ManifestBlobUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnknown,
        Self::NameInvalid,
        Self::NameUnknown,
        Self::SizeInvalid,
        Self::Unauthorized,
        Self::Denied,
        Self::Unsupported,
        Self::TooManyRequests,
        Self::TagInvalid,
        Self::RangeInvalid,
        Self::Unknown,
    ];

    /// The code as it stands in an error body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::TagInvalid => "TAG_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The code with this spelling, else `Unknown`.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}

/// The JSON body of an error response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The errors; one, nearly always.
    pub errors: Vec<ErrorEntry>,
}

/// One error of an error body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// What kind of error.
    pub code: ErrorCode,
    /// For people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs; `null` when there is none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl ErrorBody {
    /// A body with one error.
    pub fn single(code: ErrorCode, message: impl Into<String>, detail: Value) -> Self {
        Self { errors: vec![ErrorEntry { code, message: message.into(), detail }] }
    }
}
