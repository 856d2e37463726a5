//! One reader of a growing object.
//!
//! Must not write or fetch, except past the cache when there is no room. Invariant: a body of the whole blob never
//! gives out its last piece before the digest matched; a failure is an error item, never a clean end.

use std::sync::Arc;

use blob_store::BlobRead;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use oci::{ByteRange, Digester};

use super::bypass;
use super::growing::{Attached, HOLD_BACK_BYTES, Phase, State, Unfinished};
use crate::cache::Cache;
use crate::error::PullError;

struct Reader {
    attached: Attached,
    cache: Arc<Cache>,
    file: Arc<dyn BlobRead>,
    at: u64,
    end: u64,
    whole: bool,
    alone: Option<BoxStream<'static, Result<Bytes, PullError>>>,
}

/// What to do next.
enum Step {
    /// Read up to here.
    Read(u64),
    /// Cut the connection.
    Fail(PullError),
    /// Go on without the cache.
    Alone(Arc<Unfinished>),
}

/// Streams `range` of a growing object of `size` bytes.
pub(super) fn stream(
    attached: Attached,
    cache: Arc<Cache>,
    size: u64,
    range: ByteRange,
) -> BoxStream<'static, Result<Bytes, PullError>> {
    let Some(staged) = attached.growing.staged.get() else {
        // Attaching waits for size or first byte, and both come after staging is open.
        let error = PullError::Storage("the staging file is not open".into());
        return futures_util::stream::once(std::future::ready(Err(error))).boxed();
    };
    let reader = Reader {
        file: staged.reader(),
        attached,
        cache,
        at: range.start,
        end: range.end,
        whole: range.start == 0 && range.end == size,
        alone: None,
    };
    try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|bytes| (bytes, reader))) }).boxed()
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            if let Some(alone) = &mut self.alone {
                let next = alone.next().await.transpose()?;
                return self.advance(next);
            }
            let (at, end, whole) = (self.at, self.end, self.whole);
            match self.attached.growing.wait_for(|state| step(state, at, end, whole)).await {
                Step::Read(upto) => {
                    let bytes = self.read(upto).await?;
                    return self.advance(Some(bytes));
                }
                Step::Fail(error) => return Err(error),
                Step::Alone(unfinished) => {
                    if whole && at < unfinished.hashed {
                        let bytes = self.read(unfinished.hashed).await?;
                        return self.advance(Some(bytes));
                    }
                    self.go_alone(&unfinished);
                }
            }
        }
    }

    fn advance(&mut self, bytes: Option<Bytes>) -> Result<Option<Bytes>, PullError> {
        match bytes.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => {
                self.at += bytes.len() as u64;
                Ok(Some(bytes))
            }
            None => Err(PullError::Storage(format!("no bytes at {} of {}", self.at, self.end).into())),
        }
    }

    async fn read(&mut self, upto: u64) -> Result<Bytes, PullError> {
        let len = (upto - self.at).min(self.cache.piece_bytes() as u64) as usize;
        if self.cache.has_few_readers()
            && let Some(bytes) = self.attached.growing.recent(self.at, len)
        {
            return Ok(bytes);
        }
        let storage = |e: std::io::Error| PullError::storage(&e);
        if let Some(bytes) = self.file.try_read_at(self.at, len, self.cache.buffers()).map_err(storage)? {
            return Ok(bytes);
        }
        self.file.read_at(self.at, len, self.cache.buffers()).await.map_err(storage)
    }

    fn go_alone(&mut self, unfinished: &Unfinished) {
        let origin = self.attached.growing.origin.clone();
        let digester: Option<Digester> =
            (self.whole && self.at == unfinished.hashed).then(|| unfinished.digester.clone());
        let range = ByteRange { start: self.at, end: self.end };
        self.alone = Some(bypass::stream(origin, range, digester).boxed());
    }
}

/// Looks at the state: what can a reader at `at` do?
fn step(state: &State, at: u64, end: u64, whole: bool) -> Option<Step> {
    let limit = match &state.phase {
        Phase::Filling | Phase::Failed(_) | Phase::NoRoom(_) | Phase::Stored if whole => {
            end.saturating_sub(HOLD_BACK_BYTES)
        }
        Phase::Verified | Phase::Filling | Phase::Failed(_) | Phase::NoRoom(_) | Phase::Stored => end,
    };
    let have = state.present.contiguous_from(at).min(limit);
    match &state.phase {
        Phase::NoRoom(unfinished) => Some(Step::Alone(unfinished.clone())),
        Phase::Failed(error) if have <= at => Some(Step::Fail(error.clone())),
        Phase::Filling | Phase::Verified | Phase::Stored | Phase::Failed(_) => {
            if have > at && matches!(state.phase, Phase::Filling) {
                state.give();
            }
            (have > at).then_some(Step::Read(have))
        }
    }
}
