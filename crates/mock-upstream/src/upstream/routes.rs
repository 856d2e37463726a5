//! What a correct registry answers: `/v2/`, manifests, blobs, tags and the CDN.
//!
//! Must not know: faults, sockets. Invariant: nothing here misbehaves; a test without faults talks to a registry.

use oci::Digest;
use url::form_urlencoded;

use super::access::{self, Refusal};
use super::answer::Answer;
use super::request_log::Entry;
use super::state::State;
use super::target::{Kind, OWN_DOWNLOADS};
use super::token_server;

/// Authentication first, then content. `Err` carries the refusal.
pub(crate) fn authenticate(state: &State, request: &Entry) -> Result<(), Answer> {
    if token_server::is_at(state, &request.path) || request.path.starts_with(OWN_DOWNLOADS) {
        return Ok(());
    }
    if request.path.starts_with("/cdn/") {
        // Object stores refuse a signed URL that also carries an Authorization header.
        return match request.header("authorization") {
            Some(_) => Err(Answer::error(400, "UNSUPPORTED", "only one way to authenticate is allowed")),
            None => Ok(()),
        };
    }
    let wanted = split_path(&request.path).map(|(name, _, _)| (name, Kind::of_path(&request.path)));
    let authorization = request.header("authorization");
    let refused = access::refusal(&state.access(), &state.tokens, &state.url(), authorization, wanted);
    match refused {
        None => Ok(()),
        Some(Refusal::Status(status)) => Err(Answer::error(status, "DENIED", "requested access is denied")),
        Some(Refusal::Challenge(challenge)) => Err(Answer::error(401, "UNAUTHORIZED", "authentication required")
            .with("Www-Authenticate", challenge)
            .with("Docker-Distribution-Api-Version", "registry/2.0")),
    }
}

/// The answer of a correct registry.
pub(crate) fn answer(state: &State, request: &Entry) -> Answer {
    if token_server::is_at(state, &request.path) {
        return token_server::answer(state, request);
    }
    let answer = content(state, request);
    if answer.status == 404 { state.absent(Kind::of_path(&request.path)).unwrap_or(answer) } else { answer }
}

fn content(state: &State, request: &Entry) -> Answer {
    if request.method != "GET" && request.method != "HEAD" {
        return Answer::error(405, "UNSUPPORTED", "this upstream is read-only");
    }
    match Kind::of_path(&request.path) {
        Kind::Ping => {
            Answer::new(200, "application/json", "{}").with("Docker-Distribution-Api-Version", "registry/2.0")
        }
        Kind::Manifest => manifest(state, request),
        Kind::Blob => blob(state, request),
        Kind::Tags => tags(state, request),
        Kind::Token | Kind::Other => Answer::error(404, "UNSUPPORTED", "no such endpoint"),
    }
}

/// `/v2/<name>/<verb>/<last>` taken apart from the end, for names may hold any number of slashes.
fn split_path(path: &str) -> Option<(&str, &str, &str)> {
    let (head, last) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
    let (name, verb) = head.rsplit_once('/')?;
    Some((name, verb, last))
}

fn manifest(state: &State, request: &Entry) -> Answer {
    let Some((name, _, reference)) = split_path(&request.path) else { return name_unknown() };
    let contents = state.contents();
    let Some(repository) = contents.repository(name) else { return name_unknown() };
    let Some((digest, manifest)) = repository.find_manifest(reference) else {
        return Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let etag = format!("\"{digest}\"");
    if request.header("if-none-match").is_some_and(|value| value.contains(&etag)) {
        return Answer { status: 304, headers: Vec::new(), body: bytes::Bytes::new(), ranged: false }
            .with("Etag", etag)
            .with("Docker-Content-Digest", digest.to_string());
    }
    Answer::new(200, &manifest.media_type, manifest.bytes)
        .with("Docker-Content-Digest", digest.to_string())
        .with("Docker-Distribution-Api-Version", "registry/2.0")
        .with("Etag", etag)
}

fn blob(state: &State, request: &Entry) -> Answer {
    let unknown = || Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    let contents = state.contents();
    let download = request.path.strip_prefix("/cdn/").or_else(|| request.path.strip_prefix(OWN_DOWNLOADS));
    let found = match download {
        Some(digest) => digest.parse::<Digest>().ok().and_then(|digest| Some((digest, contents.any_blob(&digest)?))),
        None => split_path(&request.path).and_then(|(name, _, digest)| {
            let digest = digest.parse::<Digest>().ok()?;
            Some((digest, contents.repository(name)?.blobs.get(&digest)?.clone()))
        }),
    };
    let Some((digest, bytes)) = found else { return unknown() };
    let mut answer = Answer::new(200, "application/octet-stream", bytes)
        .with("Accept-Ranges", "bytes")
        .with("Docker-Content-Digest", digest.to_string())
        .with("Etag", format!("\"{digest}\""));
    answer.ranged = true;
    answer
}

fn tags(state: &State, request: &Entry) -> Answer {
    let Some(name) = request.path.strip_prefix("/v2/").and_then(|path| path.strip_suffix("/tags/list")) else {
        return name_unknown();
    };
    let contents = state.contents();
    let Some(repository) = contents.repository(name) else { return name_unknown() };
    let last = query_value(&request.query, "last").unwrap_or_default();
    let limit = query_value(&request.query, "n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let after: Vec<&String> = repository.tags.keys().filter(|tag| **tag > last).collect();
    let page: Vec<&String> = after.iter().copied().take(limit).collect();
    let body = serde_json::json!({ "name": name, "tags": page }).to_string();
    let answer = Answer::new(200, "application/json", body);
    match page.last() {
        Some(tag) if page.len() < after.len() => {
            answer.with("Link", format!("</v2/{name}/tags/list?last={tag}&n={limit}>; rel=\"next\""))
        }
        _ => answer,
    }
}

fn name_unknown() -> Answer {
    Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry")
}

fn query_value(query: &str, wanted: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}
