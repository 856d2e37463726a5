//! The JSON of a table of contents, read as a stream: each entry goes to the assembler and is forgotten.
//!
//! Must not know where the bytes come from. Invariant: the document is one object with `"version": 1` and one list of entries,
//! and nothing follows it.

use std::io::Read;

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::{Error, quoted};
use crate::toc::Assembler;
use crate::toc::fields::EntryFields;
use crate::toc::split::Splitter;

/// Reads the document from `reader` into `assembler`, to its last byte.
pub(crate) fn read_document(reader: impl Read, assembler: &mut Assembler) -> Result<(), Error> {
    let mut json = Splitter::new(reader);
    let (mut version, mut has_entries) = (None, false);
    expect(&mut json, b'{', "an object with version and entries")?;
    let mut goes_on = json.peek()? != Some(b'}');
    if !goes_on {
        json.mark()?;
    }
    while goes_on {
        let key: String = parse(&mut json, "a key")?;
        expect(&mut json, b':', "a value behind a key")?;
        match key.as_str() {
            "version" if version.is_some() => return Err(malformed("duplicate field `version`")),
            "version" => version = Some(parse::<i64>(&mut json, "version")?),
            "entries" if has_entries => return Err(malformed("duplicate field `entries`")),
            "entries" => {
                has_entries = true;
                read_entries(&mut json, assembler)?;
            }
            other => drop(parse::<IgnoredAny>(&mut json, other)?),
        }
        goes_on = has_more(&mut json, b'}')?;
    }
    if json.peek()?.is_some() {
        return Err(malformed("something follows the object"));
    }
    match version {
        Some(1) if has_entries => Ok(()),
        Some(1) => Err(malformed("missing field `entries`")),
        Some(other) => Err(malformed(&format!("version {other}, expected 1"))),
        None => Err(malformed("missing field `version`")),
    }
}

fn read_entries(json: &mut Splitter<impl Read>, assembler: &mut Assembler) -> Result<(), Error> {
    expect(json, b'[', "a list of entries")?;
    if json.peek()? == Some(b']') {
        json.mark()?;
        return Ok(());
    }
    loop {
        let mut fields: EntryFields = parse(json, "an entry")?;
        assembler.push(&mut fields)?;
        if !has_more(json, b']')? {
            return Ok(());
        }
    }
}

/// Whether a comma says that another follows, or `end` that none does.
fn has_more(json: &mut Splitter<impl Read>, end: u8) -> Result<bool, Error> {
    match json.mark()? {
        Some(b',') => Ok(true),
        Some(byte) if byte == end => Ok(false),
        Some(_) => Err(malformed(&format!("expected `,` or `{}`", end as char))),
        None => Err(malformed("it ends too early")),
    }
}

fn expect(json: &mut Splitter<impl Read>, wanted: u8, what: &str) -> Result<(), Error> {
    match json.mark()? {
        Some(byte) if byte == wanted => Ok(()),
        Some(_) | None => Err(malformed(&format!("expected {what}"))),
    }
}

fn parse<T: DeserializeOwned>(json: &mut Splitter<impl Read>, what: &str) -> Result<T, Error> {
    // Where in the value, not in the document: it is named.
    serde_json::from_slice(json.value()?).map_err(|error| malformed(&format!("{what}: {error}")))
}

fn malformed(reason: &str) -> Error {
    Error::TocMalformed { reason: quoted(reason) }
}
