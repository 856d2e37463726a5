//! The HTTP face of the process: from a request to a response whose end is noted.
//!
//! Must not know endpoints. Invariants: every request gets an answer, also when a handler panics; every answer carries
//! the request's id.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::Service;
use tracing::Instrument;

use crate::body::ReplyBody;
use crate::listener::MakeService;
use crate::middleware::log_request::RequestRecord;
use crate::middleware::request_id::X_REQUEST_ID;
use crate::request::RequestLine;
use crate::request_body::RequestBody;
use crate::respond::Failure;
use crate::router::{Router, is_v2};
use crate::serve::ConnectionInfo;
use crate::state::{App, SpanSeed};
use crate::v2::headers::{DOCKER_DISTRIBUTION_API_VERSION, NOSNIFF, REGISTRY_2};
use crate::v2::{Verb, at_hand};

/// Makes the service of each connection. Cheap to clone.
#[derive(Clone)]
pub struct Face {
    inner: Arc<Inner>,
}

struct Inner {
    app: Arc<App>,
    router: Router,
}

impl Face {
    /// The face of `app`.
    pub fn new(app: Arc<App>) -> Self {
        let router = Router::new(app.clone());
        Self { inner: Arc::new(Inner { app, router }) }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>, connection: ConnectionInfo) -> Response<ReplyBody>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let line = RequestLine::begin(&request, connection.peer, self.inner.app.journal.clone());
        self.answer_at_length(request, connection, line).await
    }

    /// Answers at once what needs no waiting and nothing else (no trace to record).
    fn answer_at_once<B: http_body::Body>(
        &self,
        request: &Request<B>,
        connection: &ConnectionInfo,
        line: &mut RequestLine,
    ) -> Option<Response<ReplyBody>> {
        let app = &self.inner.app;
        if app.make_span.is_some() {
            return None;
        }
        // After a panic the long way is taken, whose panics are answered.
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| at_hand::answer(app, request, connection, line)));
        answer.unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(&*panic), "the short way to a manifest panicked");
            None
        })
    }

    async fn answer_at_length<B>(
        &self,
        request: Request<B>,
        connection: ConnectionInfo,
        mut line: RequestLine,
    ) -> Response<ReplyBody>
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let Inner { app, router } = &*self.inner;
        let has_body = request.version() <= Version::HTTP_11 && !request.body().is_end_stream();
        // Beside it a Content-Length may have stood, which the HTTP library has dropped by now: a proxy in front of us that
        // goes by that one would take the end of this body for a request (RFC 9112 section 6.1).
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let span = root_span(app, line.record());
        let routed = router.route(request, connection, line.record()).instrument(span.clone());
        let answer = match AssertUnwindSafe(routed).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => {
                tracing::error!(panic = panic_text(&*panic), request_id = %line.record().request_id, "a handler panicked");
                Err(Failure::internal())
            }
        };
        line.set_span(span);
        // A body that was not read ends the connection. A client that is not told sends its next request into it.
        let pull = Verb::of(&line.record().method).is_some() && is_v2(line.record().uri.path());
        let unread = has_body && (answer.is_err() || pull);
        let mut response = finish(answer, line);
        if unread || chunked {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Turns a failure into its response and stamps what every response carries.
fn finish(answer: Result<Response<ReplyBody>, Failure>, mut line: RequestLine) -> Response<ReplyBody> {
    let record = line.record();
    let mut response = answer.unwrap_or_else(|failure| {
        record.error = Some(failure.message());
        failure.render(&record.request_id, &record.method)
    });
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, record.request_id.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if is_v2(record.uri.path()) {
        headers.insert(DOCKER_DISTRIBUTION_API_VERSION, REGISTRY_2);
    }
    line.answered(response.status());
    response.map(|body| body.with_line(line))
}

fn root_span(app: &App, record: &RequestRecord) -> tracing::Span {
    let Some(make_span) = &app.make_span else { return tracing::Span::none() };
    make_span(&SpanSeed {
        method: record.method.as_str(),
        path: record.uri.path(),
        trace: record.trace,
        request_id: &record.request_id,
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

type Answered = Result<Response<ReplyBody>, Infallible>;

/// The face toward one connection.
pub struct ConnectionFace {
    face: Face,
    connection: ConnectionInfo,
}

impl MakeService for Face {
    type Body = ReplyBody;
    type Service = ConnectionFace;

    fn make(&self, connection: ConnectionInfo) -> ConnectionFace {
        ConnectionFace { face: self.clone(), connection }
    }
}

impl Service<Request<Incoming>> for ConnectionFace {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Either<Ready<Answered>, Pin<Box<dyn Future<Output = Answered> + Send>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut line = RequestLine::begin(&request, self.connection.peer, self.face.inner.app.journal.clone());
        if let Some(response) = self.face.answer_at_once(&request, &self.connection, &mut line) {
            line.answered_whole(response.status());
            return Either::Left(ready(Ok(response.map(|body| body.with_line(line)))));
        }
        let (face, connection, request) = (self.face.clone(), self.connection.clone(), RequestBody::of(request));
        Either::Right(Box::pin(async move { Ok(face.answer_at_length(request, connection, line).await) }))
    }
}
