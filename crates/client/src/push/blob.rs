//! One blob to a registry: looked for, mounted, or uploaded and, when that breaks off, resumed.
//!
//! Must not know what the bytes are. Invariants: tries without any progress are bounded; an upload that is given up is
//! cancelled; success means that the registry answered for this digest.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};
use oci::{Digest, RepositoryName};
use tokio::time::sleep;

use super::session::{Begun, Part, Session};
use super::source::{BlobSource, BlobStream, UploadError};
use crate::error::{ClientError, SharedError};
use crate::exchange::ExchangeKind;
use crate::payload::{Payload, Streamed};
use crate::registry_client::RegistryClient;
use crate::upstream_error::read_start;

/// A blob up to this size goes with the request that ends its upload.
const SMALL: u64 = 256 * 1024;

/// Most times in a row that a part is sent on to another address.
const MOST_MOVES: u8 = 5;

/// How a blob came to be in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobPushed {
    /// Taken over from another repository of the registry.
    Mounted,
    /// Sent.
    Uploaded,
}

/// How blobs are sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadRule {
    /// Most bytes in one request, for what stands before a registry and bounds requests; `None`: a blob is one request.
    pub chunk: Option<u64>,
}

impl RegistryClient {
    /// Whether the repository has the blob, asked under a token that may push it.
    pub async fn has_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, ClientError> {
        let url = self.endpoint().content(name, &format!("blobs/{digest}"));
        let call = &self.push_call(Method::HEAD, url, ExchangeKind::Blob, name);
        let look = |attempt| async move {
            let answer = self.ask(call, attempt).await?;
            read_start(answer).await;
            Ok(())
        };
        match self.retry().run(look).await {
            Ok(()) => Ok(true),
            Err(ClientError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob of `size` bytes into the repository; from the repository `from` of the same registry, if that works.
    pub async fn push_blob(
        &self,
        name: &RepositoryName,
        (digest, size): (&Digest, u64),
        from: Option<&RepositoryName>,
        source: &dyn BlobSource,
        rule: UploadRule,
    ) -> Result<BlobPushed, UploadError> {
        let upload = Upload {
            client: self,
            name,
            digest,
            size,
            from,
            source,
            rule,
            session: None,
            has: 0,
            attempt: 1,
            moves: 0,
            stalled: false,
        };
        upload.run().await
    }
}

struct Upload<'a> {
    client: &'a RegistryClient,
    name: &'a RepositoryName,
    digest: &'a Digest,
    size: u64,
    from: Option<&'a RepositoryName>,
    source: &'a dyn BlobSource,
    rule: UploadRule,
    session: Option<Session>,
    /// How many bytes the registry has.
    has: u64,
    attempt: u32,
    /// How often in a row a part was sent on to another address.
    moves: u8,
    /// The last part was taken, and nothing of it was kept.
    stalled: bool,
}

impl Upload<'_> {
    async fn run(mut self) -> Result<BlobPushed, UploadError> {
        let (mut failures, mut best) = (0, 0);
        loop {
            match self.step().await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                Err(error) => {
                    failures += 1;
                    self.attempt += 1;
                    self.recover(error, failures).await?;
                    if self.session.is_none() && self.client.has_blob(self.name, self.digest).await? {
                        return Ok(BlobPushed::Uploaded);
                    }
                }
            }
            if self.has > best {
                (failures, best) = (0, self.has);
            }
        }
    }

    /// The next request; the outcome when it was the last.
    async fn step(&mut self) -> Result<Option<BlobPushed>, UploadError> {
        let attempt = self.client.retry().attempt(self.attempt);
        self.stalled = false;
        let Some(session) = &mut self.session else {
            match self.client.begin_upload(self.name, self.digest, self.from, attempt).await {
                Ok(Begun::Mounted) => return Ok(Some(BlobPushed::Mounted)),
                Ok(Begun::Session(session)) => (self.session, self.has) = (Some(session), 0),
                // Mounting is a favour: a registry that refuses it, or the other repository, still takes the bytes.
                Err(error) if self.from.is_some() && !error.is_temporary() => self.from = None,
                Err(error) => return Err(error.into()),
            }
            return Ok(None);
        };
        if self.has == 0 && self.size <= SMALL {
            let bytes = collect(self.source.open(0).await.map_err(UploadError::Source)?, self.size).await?;
            self.client.finish_upload(self.name, session, self.digest, bytes.into(), attempt).await?;
            return Ok(Some(BlobPushed::Uploaded));
        }
        if self.has >= self.size {
            self.client.finish_upload(self.name, session, self.digest, Payload::Nothing, attempt).await?;
            return Ok(Some(BlobPushed::Uploaded));
        }
        self.send().await.map(|()| None)
    }

    /// Sends the next part.
    async fn send(&mut self) -> Result<(), UploadError> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let attempt = self.client.retry().attempt(self.attempt);
        let most = self.rule.chunk.map_or(u64::MAX, |chunk| chunk.max(session.chunk_min).max(1));
        let length = (self.size - self.has).min(most);
        let bytes = self.source.open(self.has).await.map_err(UploadError::Source)?;
        let streamed = Streamed::new(first(bytes, length));
        let body = Payload::Streamed(streamed.clone());
        let part = Part { offset: self.has, length, is_whole: length == self.size, body };
        match self.client.send_part(self.name, session, part, attempt).await {
            Ok(has) if has > self.has => (self.has, self.moves) = (has, 0),
            Ok(has) => {
                self.stalled = true;
                return Err(self
                    .client
                    .protocol(format!("an upload that stays at {has} bytes, whatever is sent"))
                    .into());
            }
            Err(error) => match streamed.sent_on() {
                Some(next) if self.moves < MOST_MOVES => {
                    session.go_on_at(next);
                    self.moves += 1;
                }
                Some(_) | None => return Err(streamed.failure().map_or(error.into(), UploadError::Source)),
            },
        }
        Ok(())
    }

    /// Finds out where to go on after a failure; returns it when there is no going on.
    async fn recover(&mut self, error: UploadError, failures: u32) -> Result<(), UploadError> {
        let refused = match &error {
            UploadError::Source(_) => return self.give_up(error).await,
            UploadError::Registry(error) => error,
        };
        // 404 is a session that is gone, 416 one that has other bytes than we thought.
        let lost = self.session.is_some() && matches!(refused.upstream_status(), Some(404 | 416));
        // 409 is one that still belongs to the request that broke off.
        let busy = self.session.is_some() && refused.upstream_status() == Some(409);
        if !lost && !busy && !self.stalled && !refused.is_temporary() {
            return self.give_up(error).await;
        }
        let Some(pause) = self.client.retry().pause_before_resuming(refused, failures) else {
            return self.give_up(error).await;
        };
        sleep(pause).await;
        if let Some(session) = &mut self.session {
            let attempt = self.client.retry().attempt(self.attempt);
            match self.client.upload_status(self.name, session, attempt).await {
                Ok(has) if has <= self.size => self.has = has,
                // Gone, or not ours any more: another one is begun. An outage shows at the next request.
                Ok(_) | Err(ClientError::NotFound { .. } | ClientError::Protocol { .. }) => self.session = None,
                Err(error) if error.upstream_status() == Some(StatusCode::METHOD_NOT_ALLOWED.as_u16()) => {
                    self.session = None;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn give_up(&mut self, error: UploadError) -> Result<(), UploadError> {
        if let Some(session) = self.session.take() {
            self.client.cancel_upload(self.name, &session).await;
        }
        Err(error)
    }
}

/// The first `length` bytes; a stream that ends before is an error.
fn first(bytes: BlobStream, length: u64) -> BlobStream {
    let state = Some((bytes, length));
    let cut = stream::unfold(state, |state| async move {
        let (mut bytes, left) = state?;
        if left == 0 {
            return None;
        }
        match bytes.next().await {
            Some(Ok(piece)) => {
                let take = left.min(piece.len() as u64);
                Some((Ok(piece.slice(..take as usize)), Some((bytes, left - take))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(ended_early(left)), None)),
        }
    });
    cut.boxed()
}

async fn collect(bytes: BlobStream, size: u64) -> Result<Bytes, UploadError> {
    let mut all = BytesMut::with_capacity(size as usize);
    let mut bytes = first(bytes, size);
    while let Some(piece) = bytes.next().await {
        all.extend_from_slice(&piece.map_err(UploadError::Source)?);
    }
    Ok(all.freeze())
}

fn ended_early(left: u64) -> SharedError {
    std::sync::Arc::new(std::io::Error::other(format!("the blob ends {left} bytes early")))
}
