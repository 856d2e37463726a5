//! The members of a tar file, one after the other, with what GNU's and POSIX's records say of them.
//!
//! Must not know what the members are. Invariants: what is read into memory is bounded before it is read; no member reaches past
//! the end of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use tar::{EntryType, Header, PaxExtensions};

const BLOCK: u64 = 512;
/// Largest record that says something of the member behind it; names are shorter by far.
const MAX_RECORD: u64 = 1024 * 1024;

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    /// Where a link leads.
    pub(super) link: Option<Vec<u8>>,
    pub(super) kind: EntryType,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// A tar file on the way through it.
#[derive(Debug)]
pub(super) struct Walk {
    file: File,
    len: u64,
    at: u64,
}

/// What records say of the next member.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Walk {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len, at: 0 })
    }

    /// The next member; none at the end. The error says what is wrong with the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, String> {
        let (mut said, mut is_said) = (Said::default(), false);
        loop {
            let Some(header) = self.header()? else {
                return if is_said { Err("it ends behind a record".to_owned()) } else { Ok(None) };
            };
            let size = header.entry_size().map_err(|error| error.to_string())?;
            match header.entry_type() {
                EntryType::GNULongName => said.name = Some(text(self.record(size)?)),
                EntryType::GNULongLink => said.link = Some(text(self.record(size)?)),
                EntryType::XHeader => said.read(&self.record(size)?)?,
                // Of the archive as a whole, as `git archive` writes one; no member of an image needs it.
                EntryType::XGlobalHeader => {
                    self.record(size)?;
                    continue;
                }
                kind => return self.member(&header, kind, said).map(Some),
            }
            is_said = true;
        }
    }

    fn member(&mut self, header: &Header, kind: EntryType, said: Said) -> Result<Member, String> {
        let size = said.size.map_or_else(|| header.entry_size(), Ok).map_err(|error| error.to_string())?;
        let name = said.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = said.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let shown = || String::from_utf8_lossy(&name).chars().filter(|c| !c.is_control()).take(120).collect::<String>();
        let offset = self.pass(size).ok_or_else(|| format!("it is truncated in {}", shown()))?;
        Ok(Member { name, link, kind, offset, size })
    }

    /// A header; none at the end of the file or at an empty block.
    fn header(&mut self) -> Result<Option<Header>, String> {
        if self.at >= self.len {
            return Ok(None);
        }
        let mut header = Header::new_old();
        self.file.read_exact_at(header.as_mut_bytes(), self.at).map_err(|_| "it ends within a header".to_owned())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum is made with blanks where it stands.
        let others = header.as_bytes()[..148].iter().chain(&header.as_bytes()[156..]);
        let sum = others.fold(8 * u32::from(b' '), |sum, byte| sum + u32::from(*byte));
        if header.cksum().ok() != Some(sum) {
            return Err("it is no tar file that can be read: the checksum of a header is wrong".to_owned());
        }
        self.at += BLOCK;
        Ok(Some(header))
    }

    /// The bytes of a record.
    fn record(&mut self, size: u64) -> Result<Vec<u8>, String> {
        if size > MAX_RECORD {
            return Err(format!("a record in it has {size} bytes, more than {MAX_RECORD}"));
        }
        let at = self.pass(size).ok_or("it is truncated in a record")?;
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Goes past content of this size; says where it begins, or none when the file ends before.
    fn pass(&mut self, size: u64) -> Option<u64> {
        let at = self.at;
        at.checked_add(size).filter(|end| *end <= self.len)?;
        self.at = at + size.div_ceil(BLOCK) * BLOCK;
        Some(at)
    }
}

impl Said {
    fn read(&mut self, record: &[u8]) -> Result<(), String> {
        let broken = || "a PAX record in it cannot be read".to_owned();
        for field in PaxExtensions::new(record) {
            let field = field.map_err(|_| broken())?;
            let value = field.value_bytes();
            match field.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(broken)?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// GNU ends names with a zero byte.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}
