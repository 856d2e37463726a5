//! The bytes of one blob, from a file or from a registry.
//!
//! Must not know where they go. Invariant: a registry's blob whose connection breaks goes on at the byte where it broke; tries
//! without any progress are bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::{BlobBody, BlobSource, BlobStream, RegistryClient, SharedError};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use image_archive::Place;
use oci::{ByteRange, Descriptor, RepositoryName};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::{Reason, TransferError};

const PIECE: usize = 256 * 1024;
/// Longest pause before a blob that broke off goes on.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait that a registry may ask for.
const LONGEST_WISH: Duration = Duration::from_mins(1);

/// A blob in a file.
pub(crate) struct FileBlob(pub(crate) Place);

impl BlobSource for FileBlob {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>> {
        let open = async move {
            let Place { file, offset: start, size } = &self.0;
            let failed = |error: std::io::Error| {
                TransferError::new(Reason::Other, format!("{}: {error}", file.display())).shared()
            };
            let mut opened = tokio::fs::File::open(file).await.map_err(failed)?;
            opened.seek(std::io::SeekFrom::Start(start + offset)).await.map_err(failed)?;
            let rest = opened.take(size.saturating_sub(offset));
            let name = file.display().to_string();
            let read = ReaderStream::with_capacity(rest, PIECE)
                .map_err(move |error| TransferError::new(Reason::Other, format!("{name}: {error}")).shared());
            Ok(read.boxed())
        };
        Box::pin(open)
    }
}

/// A blob in a registry.
#[derive(Clone)]
pub(crate) struct RegistryBlob(Arc<Remote>);

struct Remote {
    client: RegistryClient,
    name: RepositoryName,
    blob: Descriptor,
}

impl RegistryBlob {
    pub(crate) fn new(client: RegistryClient, name: RepositoryName, blob: Descriptor) -> Self {
        Self(Arc::new(Remote { client, name, blob }))
    }
}

impl BlobSource for RegistryBlob {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>> {
        let reading = Reading { remote: self.0.clone(), at: offset, body: None, breaks: 0 };
        let bytes = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error.shared()), None)),
            }
        });
        Box::pin(async move { Ok(bytes.boxed()) })
    }
}

struct Reading {
    remote: Arc<Remote>,
    at: u64,
    body: Option<BlobBody>,
    breaks: u32,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        let size = self.remote.blob.size;
        loop {
            if self.at >= size {
                return Ok(None);
            }
            let error = match self.piece().await {
                Ok(Some(piece)) => {
                    self.at += piece.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(piece));
                }
                // The registry's blob is shorter than its descriptor says.
                Ok(None) => return Ok(None),
                Err(error) => error,
            };
            // Where no body began, the client has tried as often as it may, unless the registry asked for a long wait.
            let is_spent = self.body.take().is_none() && error.retry_after().is_none();
            self.breaks += 1;
            let pause = (Duration::from_millis(100) * self.breaks).saturating_mul(self.breaks).min(LONGEST_PAUSE);
            let pause = error.retry_after().map_or(pause, |wish| wish.max(pause));
            let is_last = is_spent || self.breaks >= self.remote.client.max_attempts() || pause > LONGEST_WISH;
            if is_last || !error.is_temporary() {
                return Err(TransferError::from(error).of(format!("the blob {}", self.remote.blob.digest)));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, client::ClientError> {
        if let Some(body) = &mut self.body {
            return body.next().await.transpose();
        }
        let Remote { client, name, blob } = &*self.remote;
        let range = ByteRange::new(self.at, blob.size).filter(|_| self.at > 0);
        let response = client.get_blob(name, &blob.digest, range).await?;
        let mut skip = self.at.saturating_sub(response.offset);
        let body = self.body.insert(response.body);
        // A registry without ranges sends all of it again.
        while let Some(piece) = body.next().await.transpose()? {
            if piece.len() as u64 > skip {
                return Ok(Some(piece.slice(skip as usize..)));
            }
            skip -= piece.len() as u64;
        }
        Ok(None)
    }
}
