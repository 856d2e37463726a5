//! Bytes of a blob from its sources, from one offset to another, across broken connections.
//!
//! Must not know files or readers, nor whom to ask (that is `turns`). Invariants: every byte from `at` to the end comes
//! once and in order; a connection that breaks is resumed with `Range` where it stopped (RFC 9110 section 14), at another
//! source if there is one; a source that answers a resumption with all of it is read and skipped up to where we were.

use std::time::Duration;

use bytes::{Buf, Bytes};
use client::{BlobBody, ClientError};
use futures_util::{FutureExt, StreamExt};
use oci::ByteRange;

use super::Origin;
use super::turns::Turns;
use crate::error::PullError;

/// Breaks in a row, without a byte between them, that are endured.
const MAX_BREAKS: u32 = 5;
/// Breaks in a row, with fewer than [`FAR`] bytes between them, that are endured.
const MAX_SHORT_BREAKS: u32 = 64;
/// A connection that brings less than this hardly pays.
const FAR: u64 = 64 << 10;

/// A resumable flow of bytes.
pub(super) struct Source {
    origin: Origin,
    turns: Turns,
    at: u64,
    end: Option<u64>,
    body: Option<BlobBody>,
    /// What was found while nobody waited for it.
    stopped: Option<Stop>,
    skip: u64,
    breaks: u32,
    short_breaks: u32,
    /// Where the last connection began to bring bytes.
    resumed_at: u64,
    started: bool,
}

/// Why a body brings no more.
enum Stop {
    Broke(ClientError),
    Ended,
}

/// What the response headers told.
pub(super) struct Opening {
    /// Size of the whole blob, when the source says it.
    pub(super) total: Option<u64>,
    /// First byte that comes: before `at` when the source ignored the range.
    pub(super) offset: u64,
}

impl Source {
    /// From `start` to `end`, or to wherever the blob ends.
    pub(super) fn new(origin: Origin, start: u64, end: Option<u64>) -> Self {
        Self {
            turns: Turns::new(origin.edge),
            origin,
            at: start,
            end,
            body: None,
            stopped: None,
            skip: 0,
            breaks: 0,
            short_breaks: 0,
            resumed_at: start,
            started: false,
        }
    }

    /// The next byte that will come.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The index of the upstream whose bytes come.
    pub(super) fn upstream(&self) -> Option<usize> {
        self.turns.current()
    }

    /// Whether sources do not agree on the size: what is here may be of another blob.
    pub(super) fn was_contradicted(&self) -> bool {
        self.turns.were_contradicted()
    }

    /// Asks for the bytes. `whole` is the blob's size if known: asking for all of it needs no `Range`.
    pub(super) async fn open(&mut self, whole: Option<u64>) -> Result<Opening, PullError> {
        let range = match self.end {
            Some(end) if self.at > 0 || whole != Some(end) => Some(ByteRange { start: self.at, end }),
            _ => None,
        };
        self.turns.expect_size(whole);
        let response = self.turns.ask(&self.origin, range, self.at).await?;
        self.skip = self.at - response.offset;
        self.resumed_at = self.at;
        self.body = Some(response.body);
        Ok(Opening { total: response.total, offset: response.offset })
    }

    /// Starts from where the source starts instead of skipping: it ignores ranges, and all of it is welcome.
    pub(super) fn take_all(&mut self, end: Option<u64>) {
        self.at -= self.skip;
        self.skip = 0;
        self.end = end;
        self.turns.expect_size(end);
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        loop {
            if self.end == Some(self.at) {
                return Ok(None);
            }
            let stop = match (self.stopped.take(), &mut self.body) {
                (Some(stop), _) => stop,
                (None, None) => {
                    self.reopen().await?;
                    continue;
                }
                (None, Some(body)) => match body.next().await {
                    Some(Ok(chunk)) => match self.take(chunk) {
                        Some(chunk) => return Ok(Some(chunk)),
                        None => continue,
                    },
                    Some(Err(error)) => Stop::Broke(error),
                    None => Stop::Ended,
                },
            };
            match stop {
                Stop::Ended if self.end.is_none() => return Ok(None),
                Stop::Ended => {
                    let what = format!("connection ended at byte {} of {}", self.at, self.end.unwrap_or_default());
                    let failed = self.origin.protocol(what.clone());
                    self.broke(&what, failed).await?;
                }
                Stop::Broke(error) if error.is_temporary() || self.origin.repo.sources().are_several() => {
                    let failed = self.origin.error(&error);
                    self.broke(&error.to_string(), failed).await?;
                }
                Stop::Broke(error) => return Err(self.origin.error(&error)),
            }
        }
    }

    /// Bytes that are there already, without waiting. What else is found is left to [`Source::next`].
    pub(super) fn ready(&mut self) -> Option<Bytes> {
        let body = self.open_body()?;
        let Some(arrived) = body.next().now_or_never() else {
            body.pause();
            return None;
        };
        self.arrived(arrived)
    }

    /// Bytes that come within `patience`. What else is found is left to [`Source::next`].
    pub(super) async fn soon(&mut self, patience: Duration) -> Option<Bytes> {
        if let Some(chunk) = self.ready() {
            return Some(chunk);
        }
        // A turn is not spent on waiting for a limit of our own.
        if patience.is_zero() || self.body.as_ref().is_some_and(BlobBody::is_held_back) {
            return None;
        }
        // Nothing is lost when the time is over: a body that was asked for bytes in vain still has them.
        let body = self.open_body()?;
        let Ok(arrived) = tokio::time::timeout(patience, body.next()).await else {
            body.pause();
            return None;
        };
        self.arrived(arrived)
    }

    /// The body, while more of it is to be had without asking anybody.
    fn open_body(&mut self) -> Option<&mut BlobBody> {
        let is_open = self.end != Some(self.at) && self.stopped.is_none();
        self.body.as_mut().filter(|_| is_open)
    }

    fn arrived(&mut self, arrived: Option<Result<Bytes, ClientError>>) -> Option<Bytes> {
        match arrived {
            Some(Ok(chunk)) => return self.take(chunk),
            Some(Err(error)) => self.stopped = Some(Stop::Broke(error)),
            None => self.stopped = Some(Stop::Ended),
        }
        None
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

    /// Asks again after a break, unless nothing ever came: then everybody has been asked often enough.
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

    /// Notes a break. Another source is asked at once; the same one after a little pause. After too many breaks in a row
    /// it is `failed`.
    async fn broke(&mut self, what: &str, failed: PullError) -> Result<(), PullError> {
        let (digest, at) = (self.origin.digest, self.at);
        self.body = None;
        self.breaks += 1;
        self.short_breaks = if at - self.resumed_at < FAR { self.short_breaks + 1 } else { 0 };
        self.resumed_at = at;
        if self.breaks > MAX_BREAKS || self.short_breaks > MAX_SHORT_BREAKS {
            return Err(failed);
        }
        tracing::info!(%digest, at, attempt = self.breaks, what, repo_key = %self.origin.repo.key(), "upstream broke off; resuming");
        if self.turns.tire(&self.origin) {
            return Ok(());
        }
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
        | PullError::Hosted(_)
        | PullError::Group(_)
        | PullError::Storage(_)
        | PullError::ShuttingDown => false,
    }
}
