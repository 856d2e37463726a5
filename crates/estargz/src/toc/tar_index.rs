//! A table for a tar that has none, made by reading it once from front to back.
//!
//! Must not know compression. Invariant: the same rules hold for its entries as for those of a table.

use std::io::Read;

use crate::entry::Timestamp;
use crate::error::{Error, quoted};
use crate::format::Compression;
use crate::limits::{MAX_FILE_SIZE, MAX_XATTRS};
use crate::toc::fields::{EntryFields, StatedTime, XattrFields};
use crate::toc::{Assembler, Toc};

const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// The table of `tar`, and where its data ends.
pub(crate) fn index_tar(tar: impl Read) -> Result<(Toc, u64), Error> {
    let mut archive = tar::Archive::new(tar);
    let mut assembler = Assembler::new(MAX_FILE_SIZE, Compression::Stored);
    let mut data_end = 0;
    for entry in archive.entries().map_err(|error| malformed(&error))? {
        let mut entry = entry.map_err(|error| malformed(&error))?;
        let position = entry.raw_file_position();
        if let Some(mut fields) = fields(&mut entry, position)? {
            data_end = data_end.max(position.saturating_add(entry.size()));
            assembler.push(&mut fields)?;
        }
    }
    Ok((assembler.finish()?, data_end))
}

fn fields<R: Read>(entry: &mut tar::Entry<'_, R>, position: u64) -> Result<Option<EntryFields>, Error> {
    let xattrs = xattrs(entry)?;
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => "reg",
        tar::EntryType::Directory => "dir",
        tar::EntryType::Symlink => "symlink",
        tar::EntryType::Link => "hardlink",
        tar::EntryType::Char => "char",
        tar::EntryType::Block => "block",
        tar::EntryType::Fifo => "fifo",
        tar::EntryType::XGlobalHeader => return Ok(None),
        tar::EntryType::GNUSparse => return Err(Error::Tar { reason: "it has sparse files".to_owned() }),
        _ => return Err(Error::Tar { reason: "it has an entry of an unknown type".to_owned() }),
    };
    let number = |value: std::io::Result<u64>| value.map_err(|error| malformed(&error)).map(signed);
    let device = |value: std::io::Result<Option<u32>>| value.ok().flatten().map_or(0, i64::from);
    let size = if kind == "reg" { signed(entry.size()) } else { 0 };
    let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
    Ok(Some(EntryFields {
        name: text(&entry.path_bytes()),
        kind: kind.to_owned(),
        size,
        modified: seconds.map_or(StatedTime::Unknown, |seconds| StatedTime::At(Timestamp { seconds, nanoseconds: 0 })),
        link_name: entry.link_name_bytes().map(|name| text(&name)).unwrap_or_default(),
        mode: header.mode().map_or(0, i64::from),
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        user_name: header.username_bytes().map(text).unwrap_or_default(),
        group_name: header.groupname_bytes().map(text).unwrap_or_default(),
        dev_major: device(header.device_major()),
        dev_minor: device(header.device_minor()),
        xattrs: Some(xattrs),
        offset: signed(position),
        end_offset: if size > 0 { signed(position).saturating_add(size) } else { 0 },
        ..EntryFields::default()
    }))
}

fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<XattrFields, Error> {
    let mut found = Vec::new();
    for extension in entry.pax_extensions().map_err(|error| malformed(&error))?.into_iter().flatten() {
        let extension = extension.map_err(|error| malformed(&error))?;
        let name = extension.key().ok().and_then(|key| key.strip_prefix(XATTR_PREFIX));
        if let Some(name) = name {
            found.push((name.into(), extension.value_bytes().into()));
        }
    }
    found.sort_unstable();
    Ok(XattrFields((found.len() <= MAX_XATTRS).then_some(found)))
}

/// Text as the writers of tables make it of bytes that are not UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Past the range of a table's numbers it becomes a negative one, which the rules refuse.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

fn malformed(error: &std::io::Error) -> Error {
    Error::Tar { reason: quoted(&error.to_string()) }
}
