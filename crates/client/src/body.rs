//! The body of an answer: a stream that cannot end early unnoticed.
//!
//! Must not know what the bytes are. Invariants: a stream that ends without an error has delivered exactly as many bytes
//! as announced; a wait for the next byte is bounded; a body that comes faster than our own limits is left in the
//! connection, one piece at most is here; the exchange is reported when the body ends or is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::answer::Answer;
use crate::error::{ClientError, TimeoutPhase, chain};
use crate::exchange::ExchangeRecord;

type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// The bytes of a blob as they arrive. After an error the stream is at its end.
pub struct BlobBody {
    upstream: Arc<str>,
    stream: Option<ByteStream>,
    expected: Option<u64>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    pace: Pace,
    record: ExchangeRecord,
}

/// Whether a body waits for our own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// It need not, although its bytes count: a document is small, and awaited.
    Free,
    /// More may be read.
    Now,
    /// More may be read then; the timer is set.
    Later,
}

/// How the part of a body came that we wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    InTime,
    TooSlowly,
}

impl std::fmt::Debug for BlobBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BlobBody")
            .field("upstream", &self.upstream)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl BlobBody {
    /// `expected`: how many bytes are announced; `None` when only the end of the stream will tell.
    pub(crate) fn new(answer: Answer, expected: Option<u64>) -> Self {
        let mut body = Self {
            upstream: answer.upstream,
            stream: Some(Box::pin(answer.response.bytes_stream())),
            expected,
            idle: answer.idle,
            timer: Box::pin(sleep(answer.idle)),
            waiting: false,
            pace: Pace::Now,
            record: answer.record,
        };
        // What other bodies owe is waited for before the first piece.
        body.note(0);
        body
    }

    /// Counts bytes that came, against our own limits too; what they owe is waited for before more is read.
    fn note(&mut self, count: usize) {
        let next = self.record.add_bytes(count);
        if let (Pace::Now, Some(next)) = (self.pace, next) {
            self.pace = Pace::Later;
            self.timer.as_mut().reset(next);
        }
    }

    /// How many bytes have come.
    pub fn received(&self) -> u64 {
        self.record.bytes()
    }

    /// Whether the next bytes wait for a limit of our own, and not for the upstream.
    pub fn is_held_back(&self) -> bool {
        self.pace == Pace::Later
    }

    /// Notes that its reader will be busy elsewhere: the time until it asks again is not the upstream's.
    pub fn pause(&mut self) {
        self.waiting = false;
    }

    /// Ends a body of which we have what we want.
    pub(crate) fn enough(&mut self, came: Came) {
        match came {
            Came::InTime if self.stream.is_some() => self.record.complete(),
            Came::InTime => {}
            Came::TooSlowly => self.record.fail("the rest of the body did not come in time"),
        }
    }

    fn fail(&mut self, error: ClientError) -> Poll<Option<Result<Bytes, ClientError>>> {
        self.stream = None;
        self.record.fail(error.to_string());
        Poll::Ready(Some(Err(error)))
    }

    fn interrupted(
        &mut self,
        what: String,
        source: Option<crate::error::SharedError>,
    ) -> Poll<Option<Result<Bytes, ClientError>>> {
        let (upstream, received) = (self.upstream.clone(), self.record.bytes());
        self.fail(ClientError::Interrupted { upstream, received, what, source })
    }

    fn arrived(&mut self, piece: Bytes) -> Poll<Option<Result<Bytes, ClientError>>> {
        self.waiting = false;
        self.note(piece.len());
        match self.expected {
            Some(expected) if self.record.bytes() > expected => {
                let what = format!("more than the {expected} bytes it announced");
                self.fail(ClientError::Protocol { upstream: self.upstream.clone(), what })
            }
            expected => {
                if expected == Some(self.record.bytes()) {
                    // All of it is here, whether or not the caller asks once more to hear so.
                    self.record.complete();
                }
                Poll::Ready(Some(Ok(piece)))
            }
        }
    }

    fn ended(&mut self) -> Poll<Option<Result<Bytes, ClientError>>> {
        match self.expected {
            Some(expected) if self.record.bytes() < expected => {
                self.interrupted(format!("it ended short of the {expected} bytes announced"), None)
            }
            Some(_) | None => {
                self.stream = None;
                self.record.complete();
                Poll::Ready(None)
            }
        }
    }

    /// The timer runs only while we wait for the upstream, not while our own reader is slow.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientError>>> {
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.idle);
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.fail(ClientError::Timeout { upstream: self.upstream.clone(), phase: TimeoutPhase::Idle })
    }
}

impl Stream for BlobBody {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream.is_some() && self.pace == Pace::Later {
            ready!(self.timer.as_mut().poll(context));
            self.pace = Pace::Now;
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        match stream.poll_next_unpin(context) {
            // HTTP/2 has pieces without a byte in them: they are no progress, however many come.
            Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {
                context.waker().wake_by_ref();
                self.wait(context)
            }
            Poll::Ready(Some(Ok(piece))) => self.arrived(piece),
            Poll::Ready(Some(Err(error))) => {
                let error = error.without_url();
                self.interrupted(chain(&error), Some(Arc::new(error)))
            }
            Poll::Ready(None) => self.ended(),
            Poll::Pending => self.wait(context),
        }
    }
}

/// Reads a whole document of at most `limit` bytes; `what` names it in errors. One idle time-out covers all of it, so
/// that a trickle of bytes cannot keep a call busy forever.
pub(crate) async fn read_document(answer: Answer, what: &'static str, limit: usize) -> Result<Bytes, ClientError> {
    let upstream = answer.upstream.clone();
    let announced: Option<u64> = answer.parsed(&http::header::CONTENT_LENGTH)?;
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(answer.reject(ClientError::TooLarge { upstream, what, limit }));
    }
    let idle = answer.idle;
    let mut body = BlobBody::new(answer, announced);
    body.pace = Pace::Free;
    let mut document = BytesMut::with_capacity(announced.unwrap_or_default() as usize);
    let reading = async {
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if document.len() + piece.len() > limit {
                let error = ClientError::TooLarge { upstream: upstream.clone(), what, limit };
                body.record.fail(error.to_string());
                return Err(error);
            }
            document.extend_from_slice(&piece);
        }
        Ok(())
    };
    let read = timeout(idle, reading).await.unwrap_or_else(|_| {
        let error = ClientError::Timeout { upstream: upstream.clone(), phase: TimeoutPhase::Idle };
        body.record.fail(error.to_string());
        Err(error)
    });
    read.map(|()| document.freeze())
}
