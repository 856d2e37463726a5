//! The header of a gzip member (RFC 1952), taken in pieces of any size: where its deflate stream begins.
//!
//! Must not know what is compressed. Invariant: nothing of a header is kept, so its length costs no memory.

const FIXED: usize = 10;
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HAS_CHECKSUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// How far a header was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GzipHeader {
    part: Part,
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// This many of the first bytes have come.
    Fixed(usize),
    /// The length of the extra field, whose first byte is this when it has come.
    ExtraLength(Option<u8>),
    /// So many bytes are to be passed over.
    Extra(u16),
    Name,
    Comment,
    /// So many bytes of the header's checksum are to come.
    Checksum(u8),
    Done,
}

impl GzipHeader {
    pub(crate) fn new() -> Self {
        Self { part: Part::Fixed(0), flags: 0 }
    }

    /// Passes over as many bytes as belong to the header: how many of `bytes`. None when it is no header.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut passed = 0;
        while self.part != Part::Done {
            let Some(&byte) = bytes.get(passed) else { break };
            self.part = self.after(byte)?;
            passed += 1;
        }
        Some(passed)
    }

    /// Whether the deflate stream begins.
    pub(crate) fn is_done(&self) -> bool {
        self.part == Part::Done
    }

    fn after(&mut self, byte: u8) -> Option<Part> {
        Some(match self.part {
            Part::Fixed(at) => {
                if MAGIC.get(at).is_some_and(|expected| *expected != byte) {
                    return None;
                }
                if at == MAGIC.len() {
                    self.flags = byte;
                    if byte & RESERVED != 0 {
                        return None;
                    }
                }
                if at + 1 < FIXED { Part::Fixed(at + 1) } else { self.next(HAS_EXTRA) }
            }
            Part::ExtraLength(None) => Part::ExtraLength(Some(byte)),
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.next(HAS_NAME),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.next(HAS_NAME),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.next(HAS_COMMENT),
            Part::Comment if byte == 0 => self.next(HAS_CHECKSUM),
            Part::Checksum(left) if left > 1 => Part::Checksum(left - 1),
            Part::Checksum(_) => Part::Done,
            same @ (Part::Name | Part::Comment | Part::Done) => same,
        })
    }

    /// The first part that is there, from this one on, in their order.
    fn next(&self, from: u8) -> Part {
        let order = [HAS_EXTRA, HAS_NAME, HAS_COMMENT, HAS_CHECKSUM];
        let rest = order.iter().skip_while(|part| **part != from);
        match rest.copied().find(|part| self.flags & part != 0) {
            Some(HAS_EXTRA) => Part::ExtraLength(None),
            Some(HAS_NAME) => Part::Name,
            Some(HAS_COMMENT) => Part::Comment,
            Some(_) => Part::Checksum(2),
            None => Part::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 255];
        bytes.extend(fields.concat());
        bytes
    }

    #[test]
    fn all_parts_are_passed_over_in_pieces_of_any_size() {
        let (extra, name, comment, checksum): (&[u8], &[u8], &[u8], &[u8]) =
            (b"\x03\x00abc", b"name\0", b"\0", b"\x1f\x8b");
        for (flags, fields) in [
            (0, vec![]),
            (1 | HAS_EXTRA, vec![extra]),
            (HAS_EXTRA, vec![b"\0\0".as_slice()]),
            (HAS_NAME, vec![name]),
            (HAS_COMMENT | HAS_CHECKSUM, vec![comment, checksum]),
            (HAS_EXTRA | HAS_NAME | HAS_COMMENT | HAS_CHECKSUM, vec![extra, name, comment, checksum]),
        ] {
            let bytes = [header(flags, &fields), b"data".to_vec()].concat();
            for size in [1, 2, 7, 100] {
                let mut read = GzipHeader::new();
                let passed: usize = bytes.chunks(size).map(|piece| read.pass(piece).unwrap()).sum();
                assert!(read.is_done());
                assert_eq!(&bytes[passed..], b"data", "{flags}");
            }
            let mut cut = GzipHeader::new();
            cut.pass(&bytes[..bytes.len() - 5]).unwrap();
            assert!(!cut.is_done());
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [&b"\x1f\x8c\x08"[..], b"PK", b"\x1f\x8b\x07", b"\x1f\x8b\x08\x20"] {
            assert_eq!(GzipHeader::new().pass(bytes), None, "{bytes:?}");
        }
    }
}
