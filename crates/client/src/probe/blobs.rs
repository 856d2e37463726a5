//! One small blob, whole: HEAD, GET, digest, where it comes from, and whether it is encoded on the way.
//!
//! Must not know ranges. Invariants: a blob that leaves here hashes to its digest; no blob above the cap is fetched.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use oci::{Descriptor, Digest, ManifestFacts, RepositoryName};

use super::large_blob;
use super::manifests::{self, Manifest, short};
use super::redirects;
use super::report::{CheckId, Findings};
use super::seen::{Seen, text};
use super::session::{Question, Session};

/// Largest blob fetched whole.
pub(super) const BLOB_CAP: usize = 8 * 1024 * 1024;

/// A blob of fewer bytes has no ranges worth asking for.
const SMALLEST_USEFUL: u64 = 64;

/// A blob and what came with it.
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
    pub(super) head: Option<Seen>,
    pub(super) get: Seen,
}

/// A question for a blob, as a pull asks it.
pub(super) fn question(session: &Session, method: Method, name: &RepositoryName, digest: &Digest) -> Question {
    session.content(method, name, &format!("blobs/{digest}"), BLOB_CAP)
}

/// Chooses a blob of the image and checks it.
pub(super) async fn check(
    session: &Session,
    name: &RepositoryName,
    manifest: &Manifest,
    findings: &mut Findings,
) -> Option<Blob> {
    let chosen = match choose(session, name, manifest).await {
        Ok(chosen) if chosen.size > BLOB_CAP as u64 => {
            Box::pin(large_blob::check(session, name, &chosen, findings)).await;
            return None;
        }
        Ok(chosen) => chosen,
        Err(why) => {
            findings.skipped(CheckId::BlobGet, why, "");
            return None;
        }
    };
    let head = session.ask(&question(session, Method::HEAD, name, &chosen.digest)).await;
    let head = match head {
        Ok(head) => Some(head),
        Err(error) => {
            findings.degraded(CheckId::BlobHead, text(&error.to_string()), "sizes are taken from manifests only");
            None
        }
    };
    if let Some(head) = &head {
        judge_head(head, &chosen, findings);
    }
    let get = match session.ask(&question(session, Method::GET, name, &chosen.digest)).await {
        Ok(get) => get,
        Err(error) => {
            findings.fail(CheckId::BlobGet, text(&error.to_string()), "blobs cannot be fetched");
            return None;
        }
    };
    redirects::check(session, name, &chosen.digest, &get, findings).await;
    if !judge_get(&get, &chosen, findings) {
        return None;
    }
    check_encoding(session, name, &chosen.digest, findings).await;
    Some(Blob { digest: chosen.digest, bytes: get.body.bytes.clone(), head, get })
}

/// The configuration of the image when it is a usable one, else the smallest blob that is; the smallest of all when each is
/// too large to be fetched.
async fn choose(session: &Session, name: &RepositoryName, manifest: &Manifest) -> Result<Descriptor, String> {
    let read = |bytes: &[u8], kind| ManifestFacts::parse(bytes, kind).map_err(|error| text(&error.to_string()));
    let mut facts = read(&manifest.bytes, manifest.media_type.as_ref())?;
    if let Some(child) = facts.manifests.first().map(|child| child.digest) {
        let question = manifests::question(session, Method::GET, name, &child.to_string());
        let answer = session.ask(&question).await.map_err(|error| text(&error.to_string()))?;
        if Digest::of(child.algorithm(), &answer.body.bytes) != child {
            return Err(format!("the index's first manifest could not be had ({})", answer.status));
        }
        facts = read(&answer.body.bytes, None)?;
    }
    let fits = |blob: &&Descriptor| blob.size <= BLOB_CAP as u64;
    let useful = facts.blobs().filter(fits).filter(|blob| blob.size >= SMALLEST_USEFUL);
    let config = facts.config.as_ref().filter(|config| (SMALLEST_USEFUL..=BLOB_CAP as u64).contains(&config.size));
    config
        .or_else(|| useful.min_by_key(|blob| blob.size))
        .or_else(|| facts.blobs().find(fits))
        .or_else(|| facts.blobs().min_by_key(|blob| blob.size))
        .cloned()
        .ok_or_else(|| "the image has no blob".to_owned())
}

pub(super) fn judge_head(head: &Seen, chosen: &Descriptor, findings: &mut Findings) {
    let id = CheckId::BlobHead;
    let length = head.length().map_or("no length".to_owned(), |length| format!("{length} bytes"));
    let seen = format!("{}, {length}, {}", head.brief(), digest_word(head));
    match (head.status, head.length(), head.digest()) {
        (200, _, Some(Err(_))) => findings.fail(id, seen, "the digest header is no digest"),
        (200, _, Some(Ok(digest))) if digest != chosen.digest => {
            findings.fail(
                id,
                seen,
                format!("it names another digest than the one asked for, {}", short(&chosen.digest)),
            );
        }
        (200, Some(length), _) if length != chosen.size => {
            findings.fail(id, seen, format!("the manifest says {} bytes: sizes cannot be believed", chosen.size));
        }
        (200, Some(_), _) => findings.pass(id, seen, "existence and size cost one HEAD"),
        (200, None, _) => {
            findings.degraded(id, seen, "no size: where no manifest tells it, one byte is fetched to learn it");
        }
        _ => findings.degraded(
            id,
            seen,
            "no HEAD of blobs: where no manifest tells the size, one byte is fetched to learn it",
        ),
    }
}

fn digest_word(answer: &Seen) -> String {
    match answer.digest() {
        Some(Ok(digest)) => format!("digest {}", short(&digest)),
        Some(Err(shown)) => format!("digest \"{shown}\""),
        None => "no digest header".to_owned(),
    }
}

/// Whether the bytes are the blob's.
fn judge_get(get: &Seen, chosen: &Descriptor, findings: &mut Findings) -> bool {
    let id = CheckId::BlobGet;
    let seen =
        format!("{} from {}, {} bytes, {}", get.brief(), get.answered_by(), get.body.bytes.len(), digest_word(get));
    let mut fail = |seen: String, meaning: &str| {
        findings.fail(id, seen, meaning);
        false
    };
    if get.status != 200 {
        return fail(seen, "blobs cannot be fetched");
    }
    if let Some(why) = get.body.incomplete() {
        let length = get.length().map_or("none".to_owned(), |length| length.to_string());
        return fail(format!("{seen}; Content-Length {length}, {why}"), "never stored; each pull starts it over");
    }
    if get.headers.contains_key(CONTENT_ENCODING) {
        return fail(
            format!("{seen}; encoded"),
            "encoded bytes are not the bytes of the digest; such an answer is refused",
        );
    }
    let actual = Digest::of(chosen.digest.algorithm(), &get.body.bytes);
    if actual != chosen.digest {
        let length = get.length().map_or("none".to_owned(), |length| length.to_string());
        let seen = format!("{seen}; Content-Length {length}; the bytes hash to {}", short(&actual));
        return fail(seen, "the bytes are not those of the digest: never stored, never served");
    }
    if get.digest().is_some_and(|said| said != Ok(chosen.digest)) {
        findings.fail(
            id,
            seen,
            "the bytes are right, but the digest header names others: a cache in between mixes answers up",
        );
    } else if get.length().is_none() {
        findings.degraded(id, seen, "no length: clients cannot show progress, and a body that ends early looks whole");
    } else {
        findings.pass(id, seen, "the bytes are those of the digest: once cached, for ever");
    }
    true
}

/// Checks that nothing is compressed for the journey for who would take it, as containerd does.
async fn check_encoding(session: &Session, name: &RepositoryName, digest: &Digest, findings: &mut Findings) {
    let id = CheckId::ContentEncoding;
    let question = question(session, Method::GET, name, digest).with(ACCEPT_ENCODING, "zstd, gzip, deflate");
    match session.ask(&question).await {
        Ok(answer) => match answer.shown(&CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
            None => findings.pass(id, "Accept-Encoding: zstd, gzip changes nothing", "one copy serves every client"),
            Some(encoding) => findings.degraded(
                id,
                format!("Content-Encoding {encoding} for who accepts it"),
                "shared caches keep a copy for each encoding, and ranges of one are not ranges of the other; we ask for none",
            ),
        },
        Err(error) => findings.degraded(id, text(&error.to_string()), "clients that accept encodings may fail"),
    }
}
