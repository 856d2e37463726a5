//! The JSON of a table of contents, read as a stream: each entry goes to the assembler and is forgotten.
//!
//! Must not know where the bytes come from. Invariant: the document is one object with `"version": 1` and one list of entries,
//! and nothing follows it.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, quoted};
use crate::toc::Assembler;
use crate::toc::fields::EntryFields;

/// Reads the document from `reader` into `assembler`, to its last byte.
pub(crate) fn read_document(reader: impl Read, assembler: &mut Assembler) -> Result<(), Error> {
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let document = Document { assembler, refused: &mut refused };
    let parsed = document.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (refused, parsed) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(Error::TocMalformed { reason: quoted(&error.to_string()) }),
        (None, Ok(())) => Ok(()),
    }
}

struct Document<'a> {
    assembler: &'a mut Assembler,
    refused: &'a mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with version and entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut version, mut has_entries) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" if version.is_some() => return Err(A::Error::duplicate_field("version")),
                "version" => version = Some(map.next_value::<i64>()?),
                "entries" if has_entries => return Err(A::Error::duplicate_field("entries")),
                "entries" => {
                    has_entries = true;
                    map.next_value_seed(Entries { assembler: self.assembler, refused: self.refused })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match version {
            Some(1) if has_entries => Ok(()),
            Some(1) => Err(A::Error::missing_field("entries")),
            Some(other) => Err(A::Error::custom(format_args!("version {other}, expected 1"))),
            None => Err(A::Error::missing_field("version")),
        }
    }
}

struct Entries<'a> {
    assembler: &'a mut Assembler,
    refused: &'a mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(mut fields) = sequence.next_element::<EntryFields>()? {
            if let Err(error) = self.assembler.push(&mut fields) {
                *self.refused = Some(error);
                return Err(A::Error::custom("an entry is refused"));
            }
        }
        Ok(())
    }
}
