//! A blob that cannot come to its end with other bytes than those of its digest.
//!
//! Must not know where it comes from or goes to. Invariant: the last piece of wrong content is never passed on, so that no
//! upload of it can be complete. What is read again after a break was hashed before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use client::{BlobSource, BlobStream, SharedError};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
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
            let (mut at, end) = (offset, self.state.clone());
            let checked = self.source.open(offset).await?.map(move |piece| {
                let piece = piece?;
                stop.check().map_err(TransferError::shared)?;
                state.lock().unwrap_or_else(PoisonError::into_inner).take(at, &piece)?;
                at += piece.len() as u64;
                tally.bytes(piece.len());
                Ok(piece)
            });
            // Nothing more comes: all of it has to be here.
            let end =
                stream::once(async move { end.lock().unwrap_or_else(PoisonError::into_inner).end().err().map(Err) });
            Ok(checked.chain(end.filter_map(std::future::ready)).boxed())
        };
        Box::pin(open)
    }
}

impl Hashing {
    fn end(&self) -> Result<(), SharedError> {
        let Descriptor { digest, size, .. } = &self.blob;
        if self.at >= *size {
            return Ok(());
        }
        let what = format!("the blob {digest} ends after {} of the {size} bytes of its descriptor", self.at);
        Err(TransferError::new(Reason::Verification, what).shared())
    }

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

#[cfg(test)]
mod tests {
    use oci::{Digest, MediaType};

    use super::super::tally::Progress;
    use super::*;

    struct Short;

    impl BlobSource for Short {
        fn open(&self, _: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>> {
            Box::pin(async { Ok(stream::iter([Ok(Bytes::from_static(b"abc"))]).boxed()) })
        }
    }

    #[tokio::test]
    async fn what_ends_early_is_wrong_content_and_says_which() {
        let digest = Digest::sha256_of(b"abcde");
        let blob = Descriptor { media_type: MediaType::OCTET_STREAM, digest, size: 5 };
        let verified = Verified::new(Arc::new(Short), blob, Tally::new(Progress::Unwanted), Stop::default());
        let mut bytes = verified.open(0).await.unwrap();
        assert_eq!(bytes.next().await.unwrap().unwrap(), "abc");
        let error = TransferError::from(bytes.next().await.unwrap().unwrap_err());
        assert_eq!(error.reason, Reason::Verification);
        assert!(error.what.contains(&digest.to_string()), "{error}");
    }
}
