//! Bytes straight from upstream to one reader, past the cache.
//!
//! For when there is no room, or when another repository's unverified bytes must not be shared. Must not know files.
//! Invariant: a body that started at byte 0 still ends only after its digest matched.

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use oci::{ByteRange, Digester};

use super::Origin;
use super::source::Source;
use crate::error::PullError;

/// Bytes held back until the digest matches.
const HOLD_BACK_BYTES: u64 = 64 << 10;

struct Bypass {
    origin: Origin,
    source: Source,
    end: u64,
    verify: Option<Digester>,
    tail: BytesMut,
    opened: bool,
    done: bool,
}

/// Streams `range`. With a `digester` that covers all bytes before it, and a range that reaches the blob's end, the
/// digest is checked before the last bytes are given out.
pub(super) fn stream(
    origin: Origin,
    range: ByteRange,
    digester: Option<Digester>,
) -> impl Stream<Item = Result<Bytes, PullError>> + Send + 'static {
    let bypass = Bypass {
        source: Source::new(origin.clone(), range.start, Some(range.end)),
        origin,
        end: range.end,
        verify: digester,
        tail: BytesMut::new(),
        opened: false,
        done: false,
    };
    try_unfold(bypass, |mut bypass| async move { Ok(bypass.next().await?.map(|bytes| (bytes, bypass))) })
}

impl Bypass {
    async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        if !self.opened {
            // From 0 to the end of a blob that is verified needs no Range header; anything else does.
            let whole = self.verify.is_some().then_some(self.end);
            self.source.open(whole).await?;
            self.opened = true;
        }
        while !self.done {
            let Some(chunk) = self.source.next().await? else {
                self.done = true;
                return self.finish();
            };
            let Some(digester) = &mut self.verify else { return Ok(Some(chunk)) };
            digester.update(&chunk);
            if let Some(free) = self.release(chunk) {
                return Ok(Some(free));
            }
        }
        Ok(None)
    }

    /// Splits a chunk into what may go and what is held back.
    fn release(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let start = self.source.at() - chunk.len() as u64;
        let limit = self.end.saturating_sub(HOLD_BACK_BYTES);
        let free = limit.saturating_sub(start).min(chunk.len() as u64) as usize;
        let held = chunk.split_off(free);
        self.tail.extend_from_slice(&held);
        (!chunk.is_empty()).then_some(chunk)
    }

    fn finish(&mut self) -> Result<Option<Bytes>, PullError> {
        let Some(digester) = self.verify.take() else { return Ok(None) };
        let actual = digester.finish();
        if actual != self.origin.digest {
            if self.origin.repo.sources().are_several() {
                self.origin.repo.sources().suspect(&self.origin.digest, self.source.upstream());
            }
            let said = self.origin.said("the bytes do not hash to the digest");
            return Err(PullError::Corrupt { expected: Box::new(self.origin.digest), actual: Box::new(actual), said });
        }
        let tail = self.tail.split().freeze();
        Ok((!tail.is_empty()).then_some(tail))
    }
}
