//! Descriptors: what a manifest says of other content (image-spec "Descriptors").
//!
//! Must not know how content is fetched. Invariant: a parsed descriptor was read one way only: no field twice (also in what
//! is ignored, such as its platform), none in another letter case (readers that match names case-insensitively, as Go's do, would take the other one).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::digest::Digest;
use crate::limits::MAX_DESCRIPTOR_SIZE;
use crate::manifest_fields::same_ignoring_case;
use crate::media_type::MediaType;
use crate::unique_keys::UniqueKeys;

/// A pointer to content: what kind, which bytes, how many. Other fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The kind of content.
    pub media_type: MediaType,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes; at most 2^53 when parsed.
    pub size: u64,
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DescriptorVisitor)
    }
}

struct DescriptorVisitor;

impl<'de> Visitor<'de> for DescriptorVisitor {
    type Value = Descriptor;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a descriptor object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Descriptor, A::Error> {
        let (mut media_type, mut digest, mut size) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "mediaType" => set_once(&mut media_type, "mediaType", map.next_value()?)?,
                "digest" => set_once(&mut digest, "digest", map.next_value()?)?,
                "size" => set_once(&mut size, "size", map.next_value()?)?,
                other => {
                    refuse_other_spelling(other)?;
                    map.next_value_seed(UniqueKeys(&mut None))?;
                }
            }
        }
        let size = size.ok_or_else(|| A::Error::missing_field("size"))?;
        if size > MAX_DESCRIPTOR_SIZE {
            return Err(A::Error::custom("size is larger than 2^53"));
        }
        Ok(Descriptor {
            media_type: media_type.ok_or_else(|| A::Error::missing_field("mediaType"))?,
            digest: digest.ok_or_else(|| A::Error::missing_field("digest"))?,
            size,
        })
    }
}

fn set_once<T, E: Error>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::duplicate_field(field)) } else { Ok(()) }
}

fn refuse_other_spelling<E: Error>(key: &str) -> Result<(), E> {
    match ["mediaType", "digest", "size"].into_iter().find(|known| same_ignoring_case(key, known)) {
        Some(known) => Err(E::custom(format_args!("a field is spelled like \"{known}\" in another letter case"))),
        None => Ok(()),
    }
}
