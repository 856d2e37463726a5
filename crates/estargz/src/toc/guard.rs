//! The bytes of a table's JSON on their way to the parser: hashed, counted, and stopped at a string that is too long.
//!
//! Must not know JSON beyond where strings begin and end. Invariant: the digest is of every byte that came through, and the parser,
//! which keeps a string whole in memory, never sees more than the limit of one.

use std::io::{self, Read};

use oci::{Digest, DigestAlgorithm, Digester};

use crate::limits::MAX_TOC_STRING;

pub(crate) struct GuardedReader<R> {
    inner: R,
    digester: Option<Digester>,
    seen: u64,
    string: StringState,
    is_too_long: bool,
}

#[derive(Clone, Copy)]
enum StringState {
    Outside,
    Inside { len: usize },
    Escaped { len: usize },
}

impl<R: Read> GuardedReader<R> {
    /// Hashes with `algorithm`, if one is given.
    pub(crate) fn new(inner: R, algorithm: Option<DigestAlgorithm>) -> Self {
        let digester = algorithm.map(Digester::new);
        Self { inner, digester, seen: 0, string: StringState::Outside, is_too_long: false }
    }

    /// How many bytes came through.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether a string was too long; reading has failed then.
    pub(crate) fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Reads to the end without looking at strings, for the digest of a table that did not parse.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = self.inner.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.note(&buffer[..count]);
        }
    }

    /// The digest of all bytes that came through.
    pub(crate) fn digest(self) -> Option<Digest> {
        self.digester.map(Digester::finish)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        if let Some(digester) = &mut self.digester {
            digester.update(bytes);
        }
    }

    fn check_strings(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            self.string = match (self.string, byte) {
                (StringState::Outside, b'"') => StringState::Inside { len: 0 },
                (StringState::Outside, _) | (StringState::Inside { .. }, b'"') => StringState::Outside,
                (StringState::Inside { len } | StringState::Escaped { len }, _) if len == MAX_TOC_STRING => {
                    self.is_too_long = true;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a string is too long"));
                }
                (StringState::Inside { len }, b'\\') => StringState::Escaped { len: len + 1 },
                (StringState::Inside { len } | StringState::Escaped { len }, _) => StringState::Inside { len: len + 1 },
            };
        }
        Ok(())
    }
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.note(&buffer[..count]);
        self.check_strings(&buffer[..count])?;
        Ok(count)
    }
}
