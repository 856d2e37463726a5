//! Bytes of a blob from its upstream, from one offset to another, across broken connections.
//!
//! Must not know files or readers. Invariants: every byte from `at` to the end comes once and in order; a
//! connection that breaks is resumed with `Range` where it stopped (RFC 9110 section 14); an upstream that answers a
//! resumption with all of it is read and skipped up to where we were.

use std::time::Duration;

use bytes::{Buf, Bytes};
use client::BlobBody;
use futures_util::{FutureExt, StreamExt};
use oci::ByteRange;

use super::Origin;
use crate::error::PullError;
use crate::trace::upstream_fetch;

/// Breaks in a row, without a byte between them, that are endured.
const MAX_BREAKS: u32 = 5;

/// A resumable flow of bytes.
pub(super) struct Source {
    origin: Origin,
    at: u64,
    end: Option<u64>,
    body: Option<BlobBody>,
    skip: u64,
    breaks: u32,
    started: bool,
}

/// What the response headers told.
pub(super) struct Opening {
    /// Size of the whole blob, when upstream says it.
    pub(super) total: Option<u64>,
    /// First byte that comes: before `at` when upstream ignored the range.
    pub(super) offset: u64,
}

impl Source {
    /// From `start` to `end`, or to wherever the blob ends.
    pub(super) fn new(origin: Origin, start: u64, end: Option<u64>) -> Self {
        Self { origin, at: start, end, body: None, skip: 0, breaks: 0, started: false }
    }

    /// The next byte that will come.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Asks upstream. `whole` is the blob's size if known: asking for all of it needs no `Range`.
    pub(super) async fn open(&mut self, whole: Option<u64>) -> Result<Opening, PullError> {
        let range = match self.end {
            Some(end) if self.at > 0 || whole != Some(end) => Some(ByteRange { start: self.at, end }),
            _ => None,
        };
        let asked = self.origin.client().get_blob(&self.origin.name, &self.origin.digest, range);
        let response = upstream_fetch(self.origin.trace, self.origin.repo.key(), "blob range", asked).await;
        let response = response.map_err(|e| self.origin.error(&e))?;
        if response.offset > self.at {
            return Err(self
                .origin
                .protocol(format!("sent bytes from {} when asked from {}", response.offset, self.at)));
        }
        self.skip = self.at - response.offset;
        self.body = Some(response.body);
        Ok(Opening { total: response.total, offset: response.offset })
    }

    /// Starts from where upstream starts instead of skipping: it ignores ranges, and all of it is welcome.
    pub(super) fn take_all(&mut self, end: Option<u64>) {
        self.at -= self.skip;
        self.skip = 0;
        self.end = end;
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        loop {
            if self.end == Some(self.at) {
                return Ok(None);
            }
            let Some(body) = &mut self.body else {
                self.reopen().await?;
                continue;
            };
            match body.next().await {
                Some(Ok(chunk)) => {
                    if let Some(chunk) = self.take(chunk) {
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(error)) if error.is_temporary() => {
                    let failed = self.origin.error(&error);
                    self.broke(&error.to_string(), failed).await?;
                }
                Some(Err(error)) => return Err(self.origin.error(&error)),
                None if self.end.is_none() => return Ok(None),
                None => {
                    let what = format!("connection ended at byte {} of {}", self.at, self.end.unwrap_or_default());
                    let failed = self.origin.protocol(what.clone());
                    self.broke(&what, failed).await?;
                }
            }
        }
    }

    /// Bytes that are there already, without waiting. Breaks are left to [`Source::next`].
    pub(super) fn ready(&mut self) -> Option<Bytes> {
        let body = self.body.as_mut()?;
        if self.end == Some(self.at) {
            return None;
        }
        match body.next().now_or_never() {
            Some(Some(Ok(chunk))) => self.take(chunk),
            Some(Some(Err(_)) | None) => {
                self.body = None;
                None
            }
            None => None,
        }
    }

    /// Cuts off what is skipped and what lies past the end.
    fn take(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let skipped = self.skip.min(chunk.len() as u64);
        chunk.advance(skipped as usize);
        self.skip -= skipped;
        if let Some(end) = self.end {
            chunk.truncate((end - self.at).min(chunk.len() as u64) as usize);
        }
        if chunk.is_empty() {
            return None;
        }
        self.at += chunk.len() as u64;
        self.breaks = 0;
        self.started = true;
        Some(chunk)
    }

    /// Asks again after a break, unless nothing ever came: then the client library has tried often enough.
    async fn reopen(&mut self) -> Result<(), PullError> {
        match self.open(None).await {
            Ok(_) => Ok(()),
            Err(error) if self.started && is_worth_retrying(&error) => {
                let text = error.to_string();
                self.broke(&text, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a break and waits a little before the next attempt; after too many in a row it is `failed`.
    async fn broke(&mut self, what: &str, failed: PullError) -> Result<(), PullError> {
        let (digest, at) = (self.origin.digest, self.at);
        self.body = None;
        self.breaks += 1;
        if self.breaks > MAX_BREAKS {
            return Err(failed);
        }
        tracing::info!(%digest, at, attempt = self.breaks, what, repo_key = %self.origin.repo.key(), "upstream broke off; resuming");
        let ceiling = 50_u64 << self.breaks;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(ceiling / 4..=ceiling))).await;
        Ok(())
    }
}

fn is_worth_retrying(error: &PullError) -> bool {
    match error {
        PullError::RateLimited { .. }
        | PullError::UpstreamFailed { .. }
        | PullError::UpstreamUnreachable { .. }
        | PullError::UpstreamTimeout { .. } => true,
        PullError::NameInvalid(_)
        | PullError::NameUnknown(_)
        | PullError::ManifestUnknown { .. }
        | PullError::BlobUnknown { .. }
        | PullError::Denied { .. }
        | PullError::Unauthorized { .. }
        | PullError::AccessUndecided { .. }
        | PullError::UpstreamResting { .. }
        | PullError::EgressRefused { .. }
        | PullError::Corrupt { .. }
        | PullError::ManifestInvalid { .. }
        | PullError::Unsupported(_)
        | PullError::Storage(_)
        | PullError::ShuttingDown => false,
    }
}
