//! The bytes of a table's JSON on their way to the parser: hashed and counted.
//!
//! Must not know JSON. Invariant: the digest is of every byte that came through.

use std::io::{self, Read};

use oci::{Digest, DigestAlgorithm, Digester};

pub(crate) struct GuardedReader<R> {
    inner: R,
    digester: Option<Digester>,
    seen: u64,
}

impl<R: Read> GuardedReader<R> {
    /// Hashes with `algorithm`, if one is given.
    pub(crate) fn new(inner: R, algorithm: Option<DigestAlgorithm>) -> Self {
        let digester = algorithm.map(Digester::new);
        Self { inner, digester, seen: 0 }
    }

    /// How many bytes came through.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Reads to the end, for the digest of a table that did not parse.
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
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.note(&buffer[..count]);
        Ok(count)
    }
}
