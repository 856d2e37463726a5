//! A request's body on HTTP/1, read to its end also when nobody wants it.
//!
//! hyper closes a connection whose request was answered before its body had come. Closing a socket that still has
//! bytes to read resets it (RFC 9112 section 9.6), and the reset overtakes the answer: the client sees a broken
//! pipe where we said 413. So what is left of such a body is read and thrown away, for a while. HTTP/2 has
//! `RST_STREAM` for this and is left alone. Must not know what bodies are for. Invariant: reading what nobody wants
//! ends, by the client or by [`PATIENCE`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};

/// How long a body that nobody wants is read. Long enough for a client on a slow line to have our answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body that is read to its end.
pub(crate) struct RequestBody<B: Body + Send + Unpin + 'static> {
    /// `None` once it is being thrown away.
    body: Option<B>,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    ReadOn,
    LetGo,
}

impl<B: Body + Send + Unpin + 'static> RequestBody<B> {
    /// Takes the body of `request` over.
    pub(crate) fn of(request: Request<B>) -> Request<Self> {
        let on_drop = if request.version() <= Version::HTTP_11 { OnDrop::ReadOn } else { OnDrop::LetGo };
        request.map(|body| Self { body: Some(body), on_drop })
    }
}

impl<B: Body + Send + Unpin + 'static> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body + Send + Unpin + 'static> Drop for RequestBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| self.on_drop == OnDrop::ReadOn && !body.is_end_stream()) else {
            return;
        };
        // Without a runtime there is no connection either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(PATIENCE, throw_away(body)));
        }
    }
}

/// Ends with the body, or with what broke it: either way nobody is left who could be told.
async fn throw_away<B: Body + Unpin>(mut body: B) {
    while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    type Pieces = Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>;

    /// A body, and what is closed when the body is let go.
    fn body(version: Version) -> (Request<RequestBody<StreamBody<Pieces>>>, mpsc::Sender<Bytes>) {
        let (send, receive) = mpsc::channel(1);
        let pieces = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        let pieces: Pieces = Box::pin(pieces.map(|bytes| Ok(Frame::data(bytes))));
        let request = Request::builder().version(version).body(StreamBody::new(pieces)).unwrap();
        (RequestBody::of(request), send)
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_wants_is_read_for_a_while() {
        let (request, pieces) = body(Version::HTTP_11);
        let began = tokio::time::Instant::now();
        drop(request);
        for _ in 0..100 {
            pieces.send(Bytes::from_static(b"x")).await.unwrap();
        }
        pieces.closed().await;
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn on_http_2_it_is_let_go_at_once() {
        let (request, pieces) = body(Version::HTTP_2);
        let began = tokio::time::Instant::now();
        drop(request);
        pieces.closed().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
