//! Manifests by tag and by digest, HEAD and GET, and whether all four say the same.
//!
//! Must not know blobs. Invariant: a manifest that leaves here hashes to the digest it carries.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Digest, DigestAlgorithm, MediaType, Reference, RepositoryName};

use super::report::{CheckId, Findings};
use super::seen::{Seen, text};
use super::session::{Question, Session};
use crate::manifests::ACCEPTED;

/// A manifest and what came with it.
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
    pub(super) media_type: Option<MediaType>,
    /// The answers by tag (or by the reference that was given).
    pub(super) head: Option<Seen>,
    pub(super) get: Seen,
    /// The answer by digest.
    pub(super) by_digest: Option<Seen>,
}

/// A question for a manifest, as a pull asks it.
pub(super) fn question(session: &Session, method: Method, name: &RepositoryName, reference: &str) -> Question {
    session.content(method, name, &format!("manifests/{reference}"), MAX_MANIFEST_BYTES).with(ACCEPT, ACCEPTED)
}

/// Checks the manifests of one reference.
pub(super) async fn check(
    session: &Session,
    name: &RepositoryName,
    reference: &Reference,
    findings: &mut Findings,
) -> Option<Manifest> {
    let text_of = reference.to_string();
    let head = session.ask(&question(session, Method::HEAD, name, &text_of)).await;
    let head = match head {
        Ok(head) => Some(head),
        Err(error) => {
            findings.fail(CheckId::ManifestHead, text(&error.to_string()), "tags cannot be checked for changes");
            None
        }
    };
    if let Some(head) = &head {
        judge_head(head, findings);
    }
    let get = match session.ask(&question(session, Method::GET, name, &text_of)).await {
        Ok(get) => get,
        Err(error) => {
            findings.fail(CheckId::ManifestGet, text(&error.to_string()), "this image cannot be pulled");
            return None;
        }
    };
    let digest = judge_get(&get, reference, findings)?;
    if let Some(head) = &head {
        judge_agreement(head, &get, &digest, findings);
    }
    let by_digest = check_digest(session, name, &digest, &get.body.bytes, findings).await;
    let media_type = get.content_type().and_then(|kind| kind.parse().ok());
    Some(Manifest { digest, bytes: get.body.bytes.clone(), media_type, head, get, by_digest })
}

fn judge_head(head: &Seen, findings: &mut Findings) {
    let id = CheckId::ManifestHead;
    let seen = format!("{}, {}", head.brief(), said(head));
    match (head.status, head.digest(), head.length()) {
        (200, Some(Ok(_)), Some(_)) => {
            findings.pass(id, seen, "whether a tag has moved costs one HEAD, which registries do not count as a pull");
        }
        (200, Some(Err(_)), _) => {
            findings.fail(id, seen, "the digest header is no digest: the answer cannot be trusted");
        }
        (200, None, _) => findings.degraded(
            id,
            seen,
            "no digest on HEAD: a moved tag is only found out by a GET, which counts as a pull",
        ),
        (200, Some(Ok(_)), None) => {
            findings.degraded(id, seen, "no length on HEAD: containerd asks again with GET");
        }
        (404, _, _) => findings.fail(id, seen, "this image is not there: give another one"),
        (401 | 403, _, _) => findings.fail(id, seen, "no access to this image: check name and login"),
        (405 | 501, _, _) => {
            findings.degraded(id, seen, "no HEAD: a moved tag is only found out by a GET, which counts as a pull");
        }
        _ => findings.fail(id, seen, "tags cannot be checked for changes"),
    }
}

/// The headers a manifest is known by.
fn said(answer: &Seen) -> String {
    let digest = match answer.digest() {
        Some(Ok(digest)) => format!("digest {}", short(&digest)),
        Some(Err(shown)) => format!("digest \"{shown}\""),
        None => "no digest header".to_owned(),
    };
    let length = answer.length().map_or("no length".to_owned(), |length| format!("{length} bytes"));
    let kind = answer.shown(&CONTENT_TYPE).unwrap_or_else(|| "no type".to_owned());
    format!("{digest}, {length}, {kind}")
}

/// Enough of a digest to tell it from others.
pub(super) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(19).chain(['…']).collect()
}

/// The digest of the manifest, unless it is none or a wrong one.
fn judge_get(get: &Seen, reference: &Reference, findings: &mut Findings) -> Option<Digest> {
    let id = CheckId::ManifestGet;
    let seen = format!("{}, {}", get.brief(), said(get));
    let mut fail = |seen: String, meaning: &str| findings.fail(id, seen, meaning);
    match get.status {
        200 => {}
        404 => {
            fail(seen, "this image is not there: give another one");
            return None;
        }
        401 | 403 => {
            fail(seen, "no access to this image: check name and login");
            return None;
        }
        429 => {
            fail(seen, "the rate limit is used up: what is cached is served, nothing new comes");
            return None;
        }
        _ => {
            fail(seen, "this image cannot be pulled");
            return None;
        }
    }
    if let Some(why) = get.body.incomplete() {
        fail(format!("{seen}; {why}"), "a manifest that does not come whole is never stored");
        return None;
    }
    if get.headers.contains_key(CONTENT_ENCODING) {
        fail(format!("{seen}; encoded"), "encoded bytes are not the bytes of the digest; such an answer is refused");
        return None;
    }
    let announced = match get.digest() {
        Some(Ok(digest)) => Some(digest),
        Some(Err(_)) => {
            fail(seen, "the digest header is no digest: such an answer is refused");
            return None;
        }
        None => None,
    };
    for expected in announced.iter().chain(reference.digest()) {
        let actual = Digest::of(expected.algorithm(), &get.body.bytes);
        if actual != *expected {
            let seen = format!("{seen}; the bytes hash to {}", short(&actual));
            fail(seen, "header and bytes disagree: such an answer is refused, nothing of it is stored");
            return None;
        }
    }
    judge_type(get, seen, findings);
    Some(announced.unwrap_or_else(|| Digest::of(DigestAlgorithm::Sha256, &get.body.bytes)))
}

fn judge_type(get: &Seen, seen: String, findings: &mut Findings) {
    let id = CheckId::ManifestGet;
    let stated: Option<MediaType> = get.content_type().and_then(|kind| kind.parse().ok());
    match oci::ManifestFacts::parse(&get.body.bytes, stated.as_ref()) {
        Err(error) => findings.fail(id, format!("{seen}; {}", text(&error.to_string())), "no manifest that is stored"),
        Ok(facts) if stated.as_ref().is_some_and(|stated| *stated != facts.media_type) => findings.degraded(
            id,
            format!("{seen}; by its own words {}", facts.media_type),
            "the type of header and body differ; the body's is believed",
        ),
        Ok(_) if get.digest().is_none() => {
            findings.degraded(id, seen, "no digest header: the digest is computed, nobody else vouches for it");
        }
        Ok(_) => findings.pass(id, seen, "the bytes are those of the digest"),
    }
}

fn judge_agreement(head: &Seen, get: &Seen, digest: &Digest, findings: &mut Findings) {
    if head.status != 200 {
        return findings.skipped(CheckId::ManifestAgreement, format!("HEAD was {}", head.status), "");
    }
    let mut differences = Vec::new();
    if let Some(Ok(said)) = head.digest().filter(|said| said.as_ref() != Ok(digest)) {
        differences.push(format!("digest {} and {}", short(&said), short(digest)));
    }
    if let Some(length) = head.length().filter(|length| *length != get.body.bytes.len() as u64) {
        differences.push(format!("length {length} and {}", get.body.bytes.len()));
    }
    let kinds = (head.content_type(), get.content_type());
    if let (Some(one), Some(other)) = &kinds
        && one != other
    {
        differences.push(format!("type {one} and {other}"));
    }
    if differences.is_empty() {
        let seen = "same digest, length and type";
        findings.pass(CheckId::ManifestAgreement, seen, "what HEAD says can be believed");
    } else {
        let meaning = "HEAD and GET disagree (or the tag moved in between): tags would be fetched again and again";
        findings.fail(CheckId::ManifestAgreement, differences.join("; "), meaning);
    }
}

async fn check_digest(
    session: &Session,
    name: &RepositoryName,
    digest: &Digest,
    bytes: &Bytes,
    findings: &mut Findings,
) -> Option<Seen> {
    let id = CheckId::ManifestDigest;
    let answer = match session.ask(&question(session, Method::GET, name, &digest.to_string())).await {
        Ok(answer) => answer,
        Err(error) => {
            findings.fail(id, text(&error.to_string()), "images pinned to a digest cannot be pulled");
            return None;
        }
    };
    let seen = format!("{}, {}", answer.brief(), said(&answer));
    if answer.status != 200 {
        findings.fail(id, seen, "images pinned to a digest cannot be pulled");
    } else if answer.body.bytes != *bytes || answer.body.incomplete().is_some() {
        findings.fail(id, format!("{seen}; not the bytes of the digest"), "such an answer is refused");
    } else if answer.digest().is_some_and(|said| said != Ok(*digest)) {
        findings.fail(id, seen, "header and bytes disagree: such an answer is refused");
    } else {
        findings.pass(id, seen, "the same bytes as by tag: once cached, for ever");
    }
    Some(answer)
}

/// Checks that what nobody has is a 404: only that may be remembered as missing.
pub(super) async fn check_missing(session: &Session, name: &RepositoryName, findings: &mut Findings) {
    let id = CheckId::ManifestMissing;
    let nobodys = Digest::sha256_of(&fastrand::u128(..).to_be_bytes());
    match session.ask(&question(session, Method::GET, name, &nobodys.to_string())).await {
        Ok(answer) => match answer.status {
            404 => findings.pass(id, answer.brief(), "missing content is told from failures; it is remembered briefly"),
            200 => findings.fail(id, answer.brief(), "it answers for content that nobody has: a page or login form?"),
            401 | 403 => findings.degraded(
                id,
                answer.brief(),
                "missing and forbidden cannot be told apart: clients get a refusal where 404 would send them on",
            ),
            _ => findings.degraded(id, answer.brief(), "missing content looks like a failure, and is asked for again"),
        },
        Err(error) => findings.degraded(id, text(&error.to_string()), "missing content looks like a failure"),
    }
}
