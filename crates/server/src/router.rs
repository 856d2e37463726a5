//! Every route on one page.
//!
//! | path                             | methods          | answers                    |
//! |----------------------------------|------------------|----------------------------|
//! | `/v2`, `/v2/`                    | GET HEAD         | [`v2::base`]               |
//! | `/v2/<name>/manifests/<ref>`     | GET HEAD         | [`v2::manifests`]          |
//! | `/v2/<name>/manifests/<tag>@<time>` | GET HEAD      | [`v2::manifests`]          |
//! | `/v2/<name>/blobs/<digest>`      | GET HEAD         | [`v2::blobs`]              |
//! | `/v2/<name>/tags/list`           | GET HEAD         | [`v2::tags`]               |
//! | `/v2/<name>/referrers/<digest>`  | GET HEAD         | [`v2::referrers`]          |
//! | `/v2/_catalog`                   | GET HEAD         | [`v2::catalog`]            |
//! | `/v2/<name>/blobs/uploads/…`     | all              | [`v2::push`]               |
//! | these with other methods         |                  | [`v2::push`]               |
//! | `/token`                         | GET POST         | [`crate::token`]           |
//! | `/api/repos`                     | GET POST         | [`api::repos`]             |
//! | `/api/repos/{repoKey}`           | GET PUT DELETE   | [`api::repos`]             |
//! | `/api/repos/{repoKey}/check`     | POST             | [`api::check`]             |
//! | `/api/upstreams`                | GET              | [`api::upstreams`]         |
//! | `/api/repos/{repoKey}/exchanges` | GET              | [`api::exchanges`]         |
//! | `/api/repos/{repoKey}/tags/history` | GET           | [`api::tags`]              |
//! | `/api/repos/{repoKey}/tags/resolve` | GET           | [`api::tags`]              |
//! | `/api/repos/{repoKey}/tags/rollback` | POST         | [`api::tags`]              |
//! | `/api/repos/{repoKey}/retention` | GET POST         | [`api::over_time`]         |
//! | `/api/repos/{repoKey}/channels`  | GET POST         | [`api::over_time`]         |
//! | `/api/promotions`                | GET POST         | [`api::promotions`]        |
//! | `/api/promotions/approvals`      | POST             | [`api::promotions`]        |
//! | `/api/promotions/{id}`           | GET              | [`api::promotions`]        |
//! | `/api/promotions/{id}/revert`    | POST             | [`api::promotions`]        |
//! | `/api/repos/{repoKey}/conflicts` | GET              | [`api::groups`]            |
//! | `/api/repos/{repoKey}/names`     | GET              | [`api::groups`]            |
//! | `/api/repos/{repoKey}/names/…`   | DELETE           | [`api::groups`]            |
//! | `/api/explain`                   | GET              | [`api::explain`]           |
//! | `/api/gc`                        | GET POST         | [`api::gc`]                |
//! | `/metrics`                       | GET              | [`crate::metrics`]         |
//! | `/healthz`, `/readyz`            | GET              | [`crate::health`]          |
//!
//! `/v2` does not go through the router library: repository names have any number of segments, which it cannot match,
//! and pulls are the hot path. Invariant: a path that is not in the table is a 404, a method that is not a 405 with
//! `Allow`, both with the error body of all others.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use oci::{ErrorCode, Reference};
use registry::{Action, BodyStream, EntranceAsks};
use tower::Service;

use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::path::{self, InvalidPath, V2Path};
use crate::respond::Failure;
use crate::serve::ConnectionInfo;
use crate::state::App;
use crate::v2::push::body::incoming;
use crate::v2::push::query::PushQuery;
use crate::v2::push::{self, PushRequest};
use crate::v2::{self, V2Request, Verb};
use crate::{api, health, query, token};

/// The route table.
pub(crate) struct Router {
    app: Arc<App>,
    rest: axum::Router,
}

impl Router {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let management = axum::Router::new()
            .route("/api/repos", get(api::repos::list).post(api::repos::create))
            .route("/api/repos/{repoKey}", get(api::repos::read).put(api::repos::replace).delete(api::repos::delete))
            .route("/api/repos/{repoKey}/check", post(api::check::check))
            .route("/api/upstreams", get(api::upstreams::list))
            .route("/api/repos/{repoKey}/exchanges", get(api::exchanges::list))
            .route("/api/repos/{repoKey}/tags/history", get(api::tags::history))
            .route("/api/repos/{repoKey}/tags/resolve", get(api::tags::resolve))
            .route("/api/repos/{repoKey}/tags/rollback", post(api::tags::rollback))
            .route("/api/repos/{repoKey}/retention", get(api::over_time::plan).post(api::over_time::run))
            .route("/api/repos/{repoKey}/channels", get(api::over_time::channels).post(api::over_time::set_channel))
            .route("/api/promotions", get(api::promotions::list).post(api::promotions::create))
            .route("/api/promotions/approvals", post(api::promotions::approve))
            .route("/api/promotions/{id}", get(api::promotions::show))
            .route("/api/promotions/{id}/revert", post(api::promotions::revert))
            .route("/api/repos/{repoKey}/conflicts", get(api::groups::conflicts))
            .route("/api/repos/{repoKey}/names", get(api::groups::names))
            .route("/api/repos/{repoKey}/names/{*name}", delete(api::groups::release))
            .route("/api/explain", get(api::explain::explain))
            .route("/api/gc", get(api::gc::last).post(api::gc::collect))
            .route_layer(axum::middleware::from_fn_with_state(app.clone(), api::require_admin));
        let rest = axum::Router::new()
            .merge(management)
            .route("/token", get(token::get).post(token::post))
            .route("/metrics", get(health::metrics))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .fallback(async || no_such_path())
            .method_not_allowed_fallback(async || wrong_method())
            .with_state(app.clone());
        Self { app, rest }
    }

    /// Answers a request. What is learnt about it is noted in `record`.
    pub(crate) async fn route<B>(
        &self,
        request: Request<B>,
        connection: ConnectionInfo,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Failure>
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        if is_v2(request.uri().path()) {
            let (head, body) = request.into_parts();
            return match Verb::of(&head.method) {
                // No pull has a body; what a client sends all the same is thrown away, and the connection closed after.
                Some(verb) => self.route_v2(&head, verb, connection, record).await,
                None => Box::pin(self.route_push(&head, incoming(body), &connection, record)).await,
            };
        }
        host_of(request.version(), request.uri(), request.headers())?;
        self.route_rest(request).await
    }

    async fn route_v2(
        &self,
        head: &Parts,
        verb: Verb,
        connection: ConnectionInfo,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Failure> {
        if head.headers.contains_key(header::TRANSFER_ENCODING) {
            // No client sends a pull a body. With a Content-Length beside it (which the HTTP library has dropped by
            // now) this is how requests are smuggled past proxies that read the other one (RFC 9112 section 6.1).
            let message = "a pull has no body; send no Transfer-Encoding";
            return Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message));
        }
        let raw = head.uri.path().get("/v2/".len()..).unwrap_or_default();
        let path = path::parse(raw).map_err(refused_read)?;
        let request = V2Request {
            app: &self.app,
            registry: &self.app.registry,
            verb,
            raw_path: head.uri.path(),
            query: query::parse(head.uri.query())?,
            headers: &head.headers,
            host: host_of(head.version, &head.uri, &head.headers)?,
            local_port: connection.local.port(),
            peer: connection.peer.ip(),
            // HTTP/2 puts frames around every few kilobytes; only HTTP/1 hands our pieces on as they are.
            files: connection.files.filter(|_| matches!(head.version, Version::HTTP_10 | Version::HTTP_11)),
            trace: record.trace.parent(),
        };
        let answer = answer_v2(&request, path, record).await.map_err(|failure| of_member(failure, record));
        match record.principal {
            // One caller's answer, whichever it is, is nobody else's.
            Some(_) => v2::headers::for_one_caller(answer),
            None => answer,
        }
    }

    async fn route_push(
        &self,
        head: &Parts,
        body: BodyStream,
        connection: &ConnectionInfo,
        record: &mut RequestRecord,
    ) -> Result<Response<ReplyBody>, Failure> {
        let request = PushRequest {
            app: &self.app,
            method: &head.method,
            query: push::query::parse(head.uri.query())?,
            headers: &head.headers,
            host: host_of(head.version, &head.uri, &head.headers)?,
            local_port: connection.local.port(),
            peer: connection.peer.ip(),
        };
        let raw = head.uri.path().get("/v2/".len()..).unwrap_or_default();
        let answered = push::answer(&request, path::parse(raw)?, body, record).await;
        answered.map_err(|failure| of_member(failure, record))
    }

    async fn route_rest<B>(&self, request: Request<B>) -> Result<Response<ReplyBody>, Failure>
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let Ok(mut response) = self.rest.clone().call(request.map(Body::new)).await;
        if let Some(failure) = response.extensions_mut().remove::<Failure>() {
            // The router library knows which methods the path has.
            let allow = response.headers_mut().remove(header::ALLOW);
            return Err(allow.into_iter().fold(failure, |failure, allow| failure.with_header(header::ALLOW, allow)));
        }
        Ok(response.map(|body| ReplyBody::new(Content::Routed(body))))
    }
}

/// What is no tag is the tag of no manifest: whoever reads is told that there is none, as of any other that is not there.
fn refused_read(error: InvalidPath) -> Failure {
    match error {
        InvalidPath::Tag(error) => Failure::new(
            StatusCode::NOT_FOUND,
            ErrorCode::ManifestUnknown,
            format!("no manifest has this tag: {error}"),
        ),
        other @ (InvalidPath::Ambiguous(_)
        | InvalidPath::Name(_)
        | InvalidPath::Digest(_)
        | InvalidPath::Session(_)
        | InvalidPath::NoEndpoint) => other.into(),
    }
}

/// Says of a failure behind a group which member it came from.
fn of_member(failure: Failure, record: &RequestRecord) -> Failure {
    let subject = record.subject.as_ref();
    match subject.and_then(|subject| Some((subject, subject.member.as_ref()?))) {
        Some((subject, member)) => failure.of_member(&subject.repo_key, &member.key),
        None => failure,
    }
}

/// Answers what a path asks for. Content is served from a route only, and the gate is the only place that makes one.
async fn answer_v2(
    request: &V2Request<'_>,
    path: V2Path<'_>,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    match path {
        V2Path::Base => {
            let base = || v2::base::answer(request.verb);
            match request.entrance() {
                EntranceAsks::One(repository) => {
                    v2::headers::for_one_caller(request.log_in(&repository).await.map(|()| base()))
                }
                EntranceAsks::Any if request.is_pusher() => Ok(base()),
                EntranceAsks::Any => v2::headers::for_one_caller(request.shows_an_account().map(|()| base())),
                EntranceAsks::Nobody => request.greet().map(|()| base()),
            }
        }
        V2Path::Manifest { name, reference } => {
            let action = Action::Manifest(reference.clone());
            let place = request.admit(&name, &action, record).await?;
            v2::manifests::answer(request, &place, &reference, record).await
        }
        V2Path::ManifestAt { name, tag, at } => {
            let place = request.admit(&name, &Action::Manifest(tag.clone().into()), record).await?;
            let bad = |error: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::TagInvalid, error);
            let at = registry::parse_time(&at).map_err(bad)?;
            let reference = Reference::Digest(request.registry.tags_over_time().at(&place, &tag, at).await?);
            let place = request.admit(&name, &Action::Manifest(reference.clone()), record).await?;
            v2::manifests::answer(request, &place, &reference, record).await
        }
        V2Path::Blob { name, digest } => {
            let place = request.admit(&name, &Action::Blob(digest), record).await?;
            v2::blobs::answer(request, &place, &digest, record).await
        }
        V2Path::Tags { name } => {
            let place = request.admit(&name, &Action::Tags, record).await?;
            v2::tags::answer(request, &place, &name, record).await
        }
        V2Path::Catalog => v2::catalog::answer(request).await,
        V2Path::Referrers { name, digest } => {
            let place = request.admit(&name, &Action::Referrers(digest), record).await?;
            v2::referrers::answer(request, &place, &digest, record).await
        }
        V2Path::Uploads { .. } | V2Path::Upload { .. } => Box::pin(upload_status(request, path, record)).await,
    }
}

/// Reading about an upload is its owner's, like writing to it.
async fn upload_status(
    request: &V2Request<'_>,
    path: V2Path<'_>,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let method = match request.verb {
        Verb::Get => Method::GET,
        Verb::Head => Method::HEAD,
    };
    let V2Request { app, headers, host, local_port, peer, .. } = *request;
    let push = PushRequest { app, method: &method, query: PushQuery::default(), headers, host, local_port, peer };
    push::answer(&push, path, Box::pin(futures_util::stream::empty()), record).await
}

/// Whether a path belongs to the registry API.
pub(crate) fn is_v2(path: &str) -> bool {
    path.strip_prefix("/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The host the client asked for: the request target's, else the `Host` header's (RFC 9112 section 3.2).
pub(crate) fn host_of<'a>(version: Version, uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, Failure> {
    let bad = |why: &str| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, why);
    let mut given = headers.get_all(header::HOST).iter();
    let host = given.next();
    if given.next().is_some() {
        return Err(bad("more than one Host header"));
    }
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    match host {
        Some(host) => match host.to_str() {
            Ok(host) if host.bytes().all(may_be_in_host) => Ok(Some(host)),
            Ok(_) | Err(_) => Err(bad("the Host header is not a host")),
        },
        None if version == Version::HTTP_11 => Err(bad("an HTTP/1.1 request needs a Host header")),
        None => Ok(None),
    }
}

/// The characters of `uri-host [ ":" port ]` (RFC 3986 section 3.2.2). An empty value is legal.
fn may_be_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

fn no_such_path() -> Failure {
    let message = "no such path; images are under /v2/, management is under /api/repos";
    Failure::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, message)
}

fn wrong_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, "this path does not have this method")
}
