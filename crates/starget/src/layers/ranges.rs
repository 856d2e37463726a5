//! Exactly the bytes of one range of a blob, however the registry sends them.
//!
//! Must not know what the bytes are. Invariants: what is given out begins where the range does and ends where it does,
//! without a gap; a broken connection is taken up where it broke, a bounded number of times; a whole blob that comes
//! instead of a part is skipped through only when little has to be skipped.

use bytes::Bytes;
use client::{BlobBody, BlobParts, ClientError};
use futures_util::StreamExt;
use oci::ByteRange;

use crate::error::StargetError;
use crate::patience::Patience;

/// Most bytes read past to reach a range when the whole blob comes.
const MOST_SKIPPED: u64 = 1024 * 1024;

/// Reads one range.
pub(crate) struct RangeReader<'b> {
    parts: &'b BlobParts,
    /// Of the blob, as the manifest says.
    size: u64,
    registry: &'b str,
    /// What is still to come.
    left: Option<ByteRange>,
    body: Option<BlobBody>,
    skip: u64,
    patience: Patience,
}

impl<'b> RangeReader<'b> {
    /// Nothing is asked before the first piece is wanted.
    pub(super) fn new(
        parts: &'b BlobParts,
        registry: &'b str,
        size: u64,
        range: ByteRange,
        patience: Patience,
    ) -> Self {
        Self { parts, size, registry, left: Some(range), body: None, skip: 0, patience }
    }

    /// The next bytes; none at the end of the range.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, StargetError> {
        while let Some(left) = self.left {
            match self.step(left).await {
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) => {}
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Call(error)) => {
                    self.patience.wait_after_call(error).await.map_err(|source| self.failed(source))?;
                }
                Err(Failure::Body(error)) => {
                    self.patience.wait_after(error).await.map_err(|source| self.failed(source))?;
                }
            }
        }
        Ok(None)
    }

    /// One piece of the body, or none when the next one has to be asked for.
    async fn step(&mut self, left: ByteRange) -> Result<Option<Bytes>, Failure> {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => self.ask(left).await?,
        };
        let Some(piece) = body.next().await else {
            // The answer was shorter than what was asked for, and said so.
            return Ok(None);
        };
        let mut piece = piece.map_err(Failure::Body)?;
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        let piece_left = piece.split_off(skipped as usize);
        let wanted = piece_left.slice(..piece_left.len().min(left.len() as usize));
        self.left = ByteRange::new(left.start + wanted.len() as u64, left.end);
        self.body = self.left.is_some().then_some(body);
        Ok((!wanted.is_empty()).then_some(wanted))
    }

    async fn ask(&mut self, left: ByteRange) -> Result<BlobBody, Failure> {
        let answer = self.parts.get(left).await.map_err(Failure::Call)?;
        if answer.total.is_some_and(|total| total != self.size) {
            let total = answer.total.unwrap_or_default();
            let what = format!("a blob of {total} bytes where the manifest says {}", self.size);
            return Err(Failure::Call(ClientError::Protocol { upstream: self.registry.into(), what }));
        }
        self.skip = left.start.saturating_sub(answer.offset);
        if self.skip > MOST_SKIPPED {
            let layer = Box::new(*self.parts.digest());
            return Err(Failure::Final(StargetError::NoRanges { registry: self.registry.to_owned(), layer }));
        }
        Ok(answer.body)
    }

    fn failed(&self, source: ClientError) -> StargetError {
        let doing = format!("read layer {}", self.parts.digest());
        StargetError::Registry { doing, source: Box::new(source) }
    }
}

enum Failure {
    /// There was no answer that could be read.
    Call(ClientError),
    /// The answer broke off.
    Body(ClientError),
    /// No other will do.
    Final(StargetError),
}
