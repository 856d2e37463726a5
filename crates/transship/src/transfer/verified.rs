//! A blob that cannot come to its end with other bytes than those of its digest.
//!
//! Must not know where it comes from or goes to. Invariant: the last piece of wrong content is never passed on, so that no
//! upload of it can be complete. What is read again after a break was hashed before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use client::{BlobSource, BlobStream, SharedError};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use oci::{Descriptor, Digester};

use super::error::{Reason, TransferError};
use super::tally::Tally;

/// Tells all blobs of an image that one of them failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error when it is time to stop.
    pub(crate) fn check(&self) -> Result<(), TransferError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(TransferError::new(Reason::Other, "stopped, because another blob failed"));
        }
        Ok(())
    }
}

/// A source whose bytes are hashed on their way, and counted.
pub(crate) struct Verified {
    source: Arc<dyn BlobSource>,
    state: Arc<Mutex<Hashing>>,
    tally: Tally,
    stop: Stop,
}

struct Hashing {
    blob: Descriptor,
    /// All bytes before this one went through the hash.
    at: u64,
    digester: Digester,
}

impl Verified {
    pub(crate) fn new(source: Arc<dyn BlobSource>, blob: Descriptor, tally: Tally, stop: Stop) -> Self {
        let digester = Digester::new(blob.digest.algorithm());
        Self { source, state: Arc::new(Mutex::new(Hashing { blob, at: 0, digester })), tally, stop }
    }
}

impl BlobSource for Verified {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>> {
        let open = async move {
            let (state, tally, stop) = (self.state.clone(), self.tally.clone(), self.stop.clone());
            let mut at = offset;
            let checked = self.source.open(offset).await?.map(move |piece| {
                let piece = piece?;
                stop.check().map_err(TransferError::shared)?;
                state.lock().unwrap_or_else(PoisonError::into_inner).take(at, &piece)?;
                at += piece.len() as u64;
                tally.bytes(piece.len());
                Ok(piece)
            });
            Ok(checked.boxed())
        };
        Box::pin(open)
    }
}

impl Hashing {
    fn take(&mut self, at: u64, piece: &Bytes) -> Result<(), SharedError> {
        let end = at + piece.len() as u64;
        let known = self.at.saturating_sub(at).min(piece.len() as u64);
        if at > self.at || end <= self.at {
            return Ok(());
        }
        self.digester.update(&piece[known as usize..]);
        self.at = end;
        let Descriptor { digest, size, .. } = &self.blob;
        let wrong = |what| Err(TransferError::new(Reason::Verification, what).shared());
        if end > *size {
            return wrong(format!("the blob {digest} has more than the {size} bytes of its descriptor"));
        }
        if end < *size {
            return Ok(());
        }
        let actual = self.digester.clone().finish();
        if actual == *digest { Ok(()) } else { wrong(format!("the bytes of the blob {digest} hash to {actual}")) }
    }
}
