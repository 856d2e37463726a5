//! One upload of the registry: begun, written to, asked for, ended (distribution-spec "Pushing Blobs").
//!
//! Must not know tries or sources. Invariant: a session's address is the registry's own origin; one elsewhere is refused,
//! because our login goes with every request.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use oci::{ChunkRange, Digest, DigestAlgorithm, RepositoryName};
use tokio::time::sleep;
use url::Url;

use crate::answer::Answer;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::payload::Payload;
use crate::redact;
use crate::registry_client::{RegistryClient, header_value};
use crate::transport::Attempt;
use crate::upstream_error::read_start;

const CHUNK_MIN: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// An upload under way.
#[derive(Clone, Debug)]
pub(super) struct Session {
    location: Url,
    /// The smallest chunk the registry takes, but for the last.
    pub(super) chunk_min: u64,
}

impl Session {
    /// Goes on at an address that the registry sent a part on to; whoever read it saw that it is of the same origin.
    pub(super) fn go_on_at(&mut self, location: Url) {
        self.location = location;
    }
}

/// How an upload began.
pub(super) enum Begun {
    /// The blob is there already: it was mounted.
    Mounted,
    Session(Session),
}

impl RegistryClient {
    /// Begins an upload; with `from`, the registry may take the blob from that repository instead.
    pub(super) async fn begin_upload(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
        attempt: Attempt,
    ) -> Result<Begun, ClientError> {
        let mut url = self.endpoint().content(name, "blobs/uploads/");
        if let Some(from) = from {
            let from = format!("{}{from}", self.endpoint().name_prefix());
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", &from);
        }
        if digest.algorithm() == DigestAlgorithm::Sha512 {
            url.query_pairs_mut().append_pair("digest-algorithm", digest.algorithm().as_str());
        }
        let mut call = self.push_call(Method::POST, url.clone(), ExchangeKind::Upload, name);
        call.insists.extend(from.map(|from| self.endpoint().pull_scope(from)));
        call.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = self.ask(&call, attempt).await?;
        match answer.status {
            StatusCode::CREATED => {
                read_start(answer).await;
                Ok(Begun::Mounted)
            }
            StatusCode::ACCEPTED => {
                let chunk_min = answer.parsed(&CHUNK_MIN)?.unwrap_or_default();
                let location = self.location(&answer, &url)?;
                let location = location.ok_or_else(|| answer.protocol("an upload without a Location header"))?;
                read_start(answer).await;
                Ok(Begun::Session(Session { location, chunk_min }))
            }
            status => Err(self.protocol(format!("status {} for the beginning of an upload", status.as_u16()))),
        }
    }

    /// Sends bytes that begin at `offset`; says how many the registry has now.
    pub(super) async fn send_part(
        &self,
        name: &RepositoryName,
        session: &mut Session,
        part: Part,
        attempt: Attempt,
    ) -> Result<u64, ClientError> {
        let Part { offset, length, is_whole, body } = part;
        let mut call = self.session_call(Method::PATCH, session.location.clone(), name);
        call.headers.insert(CONTENT_LENGTH, header_value(&length.to_string()));
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        // A blob in one piece is sent as docker does, without a range: there are registries that know nothing else.
        if !is_whole {
            call.headers.insert(CONTENT_RANGE, header_value(&format!("{offset}-{}", offset + length - 1)));
        }
        call.body = body;
        let answer = self.ask(&call, attempt).await?;
        let has = received(&answer)?.unwrap_or(offset + length);
        self.moved(session, &answer)?;
        read_start(answer).await;
        Ok(has)
    }

    /// How many bytes the registry has of an upload.
    pub(super) async fn upload_status(
        &self,
        name: &RepositoryName,
        session: &mut Session,
        attempt: Attempt,
    ) -> Result<u64, ClientError> {
        let call = self.session_call(Method::GET, session.location.clone(), name);
        let answer = self.ask(&call, attempt).await?;
        let has = received(&answer)?.unwrap_or_default();
        self.moved(session, &answer)?;
        read_start(answer).await;
        Ok(has)
    }

    /// Ends an upload: from here on it is the blob of this digest. `rest`: all of it, when nothing was sent before.
    pub(super) async fn finish_upload(
        &self,
        name: &RepositoryName,
        session: &Session,
        digest: &Digest,
        rest: Payload,
        attempt: Attempt,
    ) -> Result<(), ClientError> {
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut call = self.session_call(Method::PUT, url, name);
        let length = if let Payload::Whole(bytes) = &rest { bytes.len() } else { 0 };
        call.headers.insert(CONTENT_LENGTH, header_value(&length.to_string()));
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.body = rest;
        let answer = self.ask(&call, attempt).await?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Err(self.protocol(format!("status {} for the end of an upload", answer.status.as_u16())));
        }
        read_start(answer).await;
        Ok(())
    }

    /// Gives an upload up, so that nothing of it stays; when that fails, the registry does so in its own time.
    pub(super) async fn cancel_upload(&self, name: &RepositoryName, session: &Session) {
        let call = self.session_call(Method::DELETE, session.location.clone(), name);
        let mut number = 1;
        loop {
            let error = match self.ask(&call, self.retry().attempt(number)).await {
                Ok(answer) => {
                    read_start(answer).await;
                    return;
                }
                Err(error) => error,
            };
            // The registry has not noticed yet that the request before has broken off.
            let busy = error.upstream_status() == Some(StatusCode::CONFLICT.as_u16());
            let Some(pause) = self.retry().pause_before_resuming(&error, number).filter(|_| busy) else { return };
            sleep(pause).await;
            number += 1;
        }
    }

    fn session_call(&self, method: Method, url: Url, name: &RepositoryName) -> Call {
        self.push_call(method, url, ExchangeKind::Upload, name)
    }

    fn moved(&self, session: &mut Session, answer: &Answer) -> Result<(), ClientError> {
        let asked = session.location.clone();
        if let Some(location) = self.location(answer, &asked)? {
            session.location = location;
        }
        Ok(())
    }

    /// Where an upload goes on; none when the answer does not say.
    fn location(&self, answer: &Answer, asked: &Url) -> Result<Option<Url>, ClientError> {
        let Some(text) = answer.single(&LOCATION)? else { return Ok(None) };
        let next = asked.join(text).map_err(|error| answer.protocol(format!("a bad Location header: {error}")))?;
        let next = self.transport().canonical(next);
        if next.origin() != self.endpoint().url().origin() {
            let what = format!("an upload that goes on at another place, {}", redact::url(&next));
            return Err(self.transport().refused(what));
        }
        Ok(Some(next))
    }
}

/// Bytes for an upload.
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Nothing comes before or after it.
    pub(super) is_whole: bool,
    pub(super) body: Payload,
}

/// What `Range` says of an upload: `0-<last>`. An empty upload is `0-0` as well as one of one byte; it is taken as empty.
fn received(answer: &Answer) -> Result<Option<u64>, ClientError> {
    let Some(text) = answer.single(&RANGE)? else { return Ok(None) };
    let text = text.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    // docker's registry says `0--1` of one where nothing came.
    if text == "0-0" || text.ends_with("--1") {
        return Ok(Some(0));
    }
    let range: ChunkRange = text.parse().map_err(|error: oci::InvalidChunkRange| answer.protocol(error.to_string()))?;
    Ok(Some(range.0.end))
}
