//! What a request carries.
//!
//! Must not know what the bytes are. Invariants: a payload in memory can be sent any number of times, a stream once; a
//! stream that has to be sent again is an error that the caller resumes from, never a request with half of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use url::Url;

use crate::error::SharedError;

/// Bytes on their way out.
pub(crate) type OutgoingBytes = BoxStream<'static, Result<Bytes, SharedError>>;

/// The body of a request.
#[derive(Clone, Default)]
pub(crate) enum Payload {
    /// None.
    #[default]
    Nothing,
    /// All of it is here.
    Whole(Bytes),
    /// It comes piece by piece.
    Streamed(Arc<Streamed>),
}

/// A body that comes from somewhere else while it is sent.
pub(crate) struct Streamed {
    bytes: Mutex<Option<OutgoingBytes>>,
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<SharedError>>>,
    next: Mutex<Option<Url>>,
}

impl Streamed {
    pub(crate) fn new(bytes: OutgoingBytes) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(Some(bytes)),
            sent: Arc::default(),
            failure: Arc::default(),
            next: Mutex::default(),
        })
    }

    /// What failed where the bytes come from, if that is what broke the request.
    pub(crate) fn failure(&self) -> Option<SharedError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that it was to be sent on to `next`, where it cannot be sent a second time.
    pub(crate) fn send_on(&self, next: Url) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    /// Where it was to be sent on to.
    pub(crate) fn sent_on(&self) -> Option<Url> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take(&self) -> Option<reqwest::Body> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (sent, failure) = (self.sent.clone(), self.failure.clone());
        let counted = bytes.inspect(move |piece| {
            let count = piece.as_ref().map_or(0, Bytes::len);
            sent.fetch_add(count as u64, Ordering::Relaxed);
        });
        let noted = counted.inspect_err(move |error| {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        });
        Some(reqwest::Body::wrap_stream(noted))
    }
}

/// A stream was to be sent a second time.
pub(crate) struct AlreadySent;

impl Payload {
    /// As the body of one request; none when there is nothing to send.
    pub(crate) fn body(&self) -> Result<Option<reqwest::Body>, AlreadySent> {
        match self {
            Self::Nothing => Ok(None),
            Self::Whole(bytes) => Ok(Some(bytes.clone().into())),
            Self::Streamed(streamed) => streamed.take().map(Some).ok_or(AlreadySent),
        }
    }

    /// How many bytes of a stream have left; `None` for what is no stream.
    pub(crate) fn streamed(&self) -> Option<u64> {
        match self {
            Self::Nothing | Self::Whole(_) => None,
            Self::Streamed(streamed) => Some(streamed.sent.load(Ordering::Relaxed)),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Nothing } else { Self::Whole(bytes) }
    }
}
