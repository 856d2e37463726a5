//! One upload under way: its file, how far it has come, and the hash of what has come.
//!
//! It must not know its session.
//!
//! Invariants: `len` bytes of the file are what was appended, whatever stands behind them; the running hash, where there
//! is one, is of exactly these bytes. An append that fails changes neither.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, Digester};

use super::blocking;
use crate::error::StoreError;

/// How much is read at a time to hash what a former process received.
const HASH_PIECE_BYTES: usize = 1 << 20;

/// A growing upload.
#[derive(Debug)]
pub struct Upload {
    file: Arc<File>,
    path: PathBuf,
    len: u64,
    /// `None` when nobody has hashed these bytes: they were received by a former process.
    running: Option<(DigestAlgorithm, Digester)>,
}

/// How far an upload had come.
#[derive(Clone, Debug)]
pub struct Mark {
    len: u64,
    running: Option<(DigestAlgorithm, Digester)>,
}

impl Mark {
    /// Bytes received until then.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was received until then.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Upload {
    pub(super) fn empty(file: File, path: PathBuf, algorithm: DigestAlgorithm) -> Self {
        Self { file: Arc::new(file), path, len: 0, running: Some((algorithm, Digester::new(algorithm))) }
    }

    pub(super) fn left(file: File, path: PathBuf, len: u64) -> Self {
        Self { file: Arc::new(file), path, len, running: None }
    }

    /// What a store takes over.
    pub(super) fn sealed(&self) -> (Arc<File>, PathBuf, u64) {
        (Arc::clone(&self.file), self.path.clone(), self.len)
    }

    /// Bytes received.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the bytes that follow. After an error the upload is as long as before, and may go on.
    pub async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        let (file, path, start) = (Arc::clone(&self.file), self.path.clone(), self.len);
        // Taken out: should this call be dropped half-way, the hash is unknown rather than wrong.
        let mut running = self.running.take();
        let (running, written) = blocking(move || {
            let mut at = start;
            for piece in &pieces {
                if let Err(error) = file.write_all_at(piece, at) {
                    // Gives the room back; what cannot be cut will be written over.
                    let _ = file.set_len(start);
                    return Ok((running, Err(StoreError::io("write", &path, error))));
                }
                at += piece.len() as u64;
            }
            if let Some((_, digester)) = &mut running {
                for piece in &pieces {
                    digester.update(piece);
                }
            }
            Ok((running, Ok(at)))
        })
        .await?;
        self.running = running;
        self.len = written?;
        Ok(())
    }

    /// Makes what was received durable.
    pub async fn sync(&self) -> Result<(), StoreError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        blocking(move || file.sync_data().map_err(|error| StoreError::io("sync", &path, error))).await
    }

    /// Whether the digest under `algorithm` is known without reading the file.
    pub fn is_hashed(&self, algorithm: DigestAlgorithm) -> bool {
        self.running.as_ref().is_some_and(|(running, _)| *running == algorithm)
    }

    /// Hashes what was received, where no running hash of `algorithm` is there; it runs on from then.
    pub async fn hash(&mut self, algorithm: DigestAlgorithm) -> Result<(), StoreError> {
        self.digester(algorithm).await.map(drop)
    }

    /// The digest of all that was received. Takes time by its size only when nobody has hashed it under this algorithm.
    pub async fn digest(&mut self, algorithm: DigestAlgorithm) -> Result<Digest, StoreError> {
        self.digester(algorithm).await.map(Digester::finish)
    }

    async fn digester(&mut self, algorithm: DigestAlgorithm) -> Result<Digester, StoreError> {
        if let Some((_, digester)) = self.running.as_ref().filter(|(running, _)| *running == algorithm) {
            return Ok(digester.clone());
        }
        let (file, path, len) = (Arc::clone(&self.file), self.path.clone(), self.len);
        let read =
            move || read_through(&file, len, Digester::new(algorithm)).map_err(|e| StoreError::io("read", &path, e));
        let digester = blocking(read).await?;
        self.running = Some((algorithm, digester.clone()));
        Ok(digester)
    }

    /// Remembers this moment.
    pub fn mark(&self) -> Mark {
        Mark { len: self.len, running: self.running.clone() }
    }

    /// Forgets what was received since `mark`.
    pub async fn rewind(&mut self, mark: Mark) -> Result<(), StoreError> {
        (self.len, self.running) = (mark.len, mark.running);
        let (file, path, len) = (Arc::clone(&self.file), self.path.clone(), self.len);
        blocking(move || file.set_len(len).map_err(|error| StoreError::io("cut", &path, error))).await
    }
}

/// Adds the first `len` bytes of a file.
fn read_through(file: &File, len: u64, mut digester: Digester) -> io::Result<Digester> {
    let mut buffer = vec![0; HASH_PIECE_BYTES];
    let mut at = 0;
    while at < len {
        let piece = usize::try_from(len - at).map_or(HASH_PIECE_BYTES, |left| left.min(HASH_PIECE_BYTES));
        file.read_exact_at(&mut buffer[..piece], at)?;
        digester.update(&buffer[..piece]);
        at += piece as u64;
    }
    Ok(digester)
}
