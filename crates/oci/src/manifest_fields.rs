//! The outermost object of a manifest, split into its fields without interpreting them.
//!
//! Must not know what the fields mean. Invariant: every key occurs once, also within what we do not read, the fields we know are spelled exactly, and the
//! number of keys and the nesting are bounded, so every reader of the same bytes sees the same fields.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer as _, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::{MAX_MANIFEST_DEPTH, MAX_MANIFEST_KEYS};
use crate::manifest_error::ManifestError;
use crate::newtype::{excerpt, shorten};
use crate::unique_keys::UniqueKeys;

/// A field of a manifest that says something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    SchemaVersion,
    MediaType,
    Config,
    Layers,
    Manifests,
    Subject,
    ArtifactType,
    /// Only in Docker schema 1.
    FsLayers,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::SchemaVersion,
        Self::MediaType,
        Self::Config,
        Self::Layers,
        Self::Manifests,
        Self::Subject,
        Self::ArtifactType,
        Self::FsLayers,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SchemaVersion => "schemaVersion",
            Self::MediaType => "mediaType",
            Self::Config => "config",
            Self::Layers => "layers",
            Self::Manifests => "manifests",
            Self::Subject => "subject",
            Self::ArtifactType => "artifactType",
            Self::FsLayers => "fsLayers",
        }
    }
}

/// The values of the known fields, as they stand in the document.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    values: [Option<&'a RawValue>; Field::ALL.len()],
}

impl<'a> Fields<'a> {
    /// Splits a document. Its length must have been checked.
    pub(crate) fn split(text: &'a str) -> Result<Self, ManifestError> {
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            return Err(ManifestError::NotAnObject);
        }
        check_depth(text)?;
        let mut refusal = None;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer
            .deserialize_map(FieldsVisitor { refusal: &mut refusal })
            .and_then(|fields| deserializer.end().map(|()| fields));
        fields
            .map_err(|error| refusal.unwrap_or_else(|| ManifestError::NotJson { reason: shorten(&error.to_string()) }))
    }

    /// Whether the field is there at all, be it as `null`, which is how some writers say of a list that it is empty.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.values[field as usize].is_some()
    }

    /// The field's JSON text; `null` counts as absent.
    pub(crate) fn get(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize].map(RawValue::get).filter(|text| *text != "null")
    }
}

/// Whether a case-insensitive JSON reader would take `key` for `known` (ASCII): letter case, and the two characters
/// outside ASCII that fold into it.
pub(crate) fn same_ignoring_case(key: &str, known: &str) -> bool {
    let folded = key.chars().map(|character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|character| character.to_ascii_lowercase()))
}

/// Refuses deep nesting before any parser sees it, in one pass without recursion. On text that is not JSON the count
/// means nothing, which does no harm: the parser refuses that text.
fn check_depth(text: &str) -> Result<(), ManifestError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_MANIFEST_DEPTH {
            return Err(ManifestError::TooDeep);
        }
    }
    Ok(())
}

/// serde's errors are text; a refusal with a meaning of its own leaves through `refusal`.
struct FieldsVisitor<'r> {
    refusal: &'r mut Option<ManifestError>,
}

impl FieldsVisitor<'_> {
    fn refuse<E: Error>(&mut self, error: ManifestError) -> E {
        let shown = E::custom(&error);
        *self.refusal = Some(error);
        shown
    }
}

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a manifest object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.len() == MAX_MANIFEST_KEYS {
                return Err(self.refuse(ManifestError::TooManyKeys));
            }
            match Field::ALL.into_iter().find(|field| same_ignoring_case(&key, field.name())) {
                Some(field) if field.name() == key => {
                    let value = map.next_value()?;
                    fields.values[field as usize] = Some(value);
                }
                Some(field) => return Err(self.refuse(ManifestError::AmbiguousKey { field: field.name() })),
                None => {
                    let mut doubled = None;
                    let read = map.next_value_seed(UniqueKeys(&mut doubled));
                    if let Some(key) = doubled {
                        return Err(self.refuse(ManifestError::DuplicateKey { key }));
                    }
                    read?;
                }
            }
            let shown = excerpt(&key);
            if !seen.insert(key) {
                return Err(self.refuse(ManifestError::DuplicateKey { key: shown }));
            }
        }
        Ok(fields)
    }
}
