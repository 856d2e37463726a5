//! One entry as the JSON of a table of contents has it (estargz.md "TOCEntry"), before anything is checked.
//!
//! Must not know what is valid. Invariant: an entry takes memory in proportion to its limits, however it is written.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::entry::Timestamp;
use crate::limits::MAX_XATTRS;
use crate::toc::Xattrs;

/// The fields of an entry. Fields left out are zero; fields we do not know are skipped (`NumLink`, `accesstime`, …).
#[derive(serde::Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EntryFields {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) size: i64,
    #[serde(rename = "modtime")]
    pub(crate) modified: StatedTime,
    pub(crate) link_name: String,
    pub(crate) mode: i64,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) user_name: String,
    pub(crate) group_name: String,
    pub(crate) dev_major: i64,
    pub(crate) dev_minor: i64,
    pub(crate) xattrs: Option<XattrFields>,
    pub(crate) digest: String,
    pub(crate) offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) chunk_offset: i64,
    pub(crate) chunk_size: i64,
    pub(crate) chunk_digest: String,
    pub(crate) chunk_type: String,
    pub(crate) inner_offset: i64,
}

/// When an entry was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StatedTime {
    /// Left out, or empty.
    #[default]
    Unknown,
    At(Timestamp),
    /// Text that is not a time (RFC 3339).
    Invalid,
}

impl<'de> Deserialize<'de> for StatedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::Unknown);
        }
        Ok(OffsetDateTime::parse(&text, &Rfc3339).map_or(Self::Invalid, |time| {
            Self::At(Timestamp { seconds: time.unix_timestamp(), nanoseconds: time.nanosecond() })
        }))
    }
}

/// Extended attributes, decoded; `None` when there are too many or one is not base64.
#[derive(Debug)]
pub(crate) struct XattrFields(pub(crate) Option<Xattrs>);

impl<'de> Deserialize<'de> for XattrFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(XattrVisitor)
    }
}

struct XattrVisitor;

impl<'de> Visitor<'de> for XattrVisitor {
    type Value = XattrFields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map from names to base64")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<XattrFields, A::Error> {
        let mut found = Some(Vec::new());
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            let decoded = STANDARD.decode(value).ok();
            found = match (found, decoded) {
                (Some(mut list), Some(value)) if list.len() < MAX_XATTRS => {
                    list.push((name.into_boxed_str(), value.into_boxed_slice()));
                    Some(list)
                }
                (_, _) => None,
            };
        }
        if let Some(list) = &mut found {
            list.sort_unstable();
            if list.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(A::Error::custom("an extended attribute occurs twice"));
            }
        }
        Ok(XattrFields(found))
    }
}
