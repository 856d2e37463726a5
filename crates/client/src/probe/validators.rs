//! `ETag` and `If-None-Match`: whether validators are strong, stable and true (RFC 9110 sections 8.8.3, 13.1.2).
//!
//! Must not know lifetimes. Invariant: a validator is judged by two answers at least.

use http::Method;
use http::header::IF_NONE_MATCH;
use oci::{Digest, RepositoryName};

use super::blobs::{self, Blob};
use super::manifests::{self, Manifest};
use super::ranges::FOREIGN_ETAG;
use super::report::{CheckId, Findings};
use super::seen::{Seen, is_strong, text};
use super::session::{Question, Session};

/// What was seen of the validators of one thing.
struct Validator<'a> {
    what: &'static str,
    first: Option<String>,
    second: Option<String>,
    bytes: &'a [u8],
    digest: &'a Digest,
}

/// Checks the validators of the manifest by tag, by digest, and of the blob.
pub(super) async fn check(
    session: &Session,
    name: &RepositoryName,
    reference: &str,
    manifest: &Manifest,
    blob: Option<&Blob>,
    findings: &mut Findings,
) {
    let again = session.ask(&manifests::question(session, Method::GET, name, &manifest.digest.to_string())).await.ok();
    let etag = |answer: Option<&Seen>| answer.filter(|answer| answer.status == 200).and_then(Seen::etag);
    let mut validators = vec![
        Validator {
            what: "tag",
            first: etag(Some(&manifest.get)),
            second: etag(manifest.head.as_ref()),
            bytes: &manifest.bytes,
            digest: &manifest.digest,
        },
        Validator {
            what: "digest",
            first: etag(manifest.by_digest.as_ref()),
            second: etag(again.as_ref()),
            bytes: &manifest.bytes,
            digest: &manifest.digest,
        },
    ];
    validators.extend(blob.map(|blob| Validator {
        what: "blob",
        first: etag(Some(&blob.get)),
        second: etag(blob.head.as_ref()),
        bytes: &blob.bytes,
        digest: &blob.digest,
    }));
    judge(&validators, findings);
    check_conditions(session, name, reference, manifest, blob, findings).await;
}

fn judge(validators: &[Validator<'_>], findings: &mut Findings) {
    let id = CheckId::Etag;
    let shown: Vec<String> = validators.iter().map(|v| format!("{} {}", v.what, kind_of(v))).collect();
    let seen = shown.join(", ");
    if let Some(lie) = validators.iter().find_map(lie) {
        return findings.fail(id, seen, lie);
    }
    let same = |one: &Validator<'_>, other: &Validator<'_>| {
        one.first.is_some() && one.first == other.first && one.bytes != other.bytes
    };
    if validators.iter().any(|one| validators.iter().any(|other| same(one, other))) {
        return findings.fail(id, seen, "different bytes have the same ETag: caches keep what has changed");
    }
    let unstable = |v: &Validator<'_>| matches!((&v.first, &v.second), (Some(one), Some(other)) if one != other);
    if validators.iter().any(unstable) {
        return findings.degraded(
            id,
            seen,
            "the ETag differs from answer to answer for the same bytes: nothing is ever confirmed",
        );
    }
    match validators.iter().filter(|v| v.first.as_deref().is_some_and(is_strong)).count() {
        all if all == validators.len() => findings.pass(id, seen, "caches can confirm what they have, and join parts"),
        0 if validators.iter().all(|v| v.first.is_none()) => {
            findings.degraded(id, seen, "caches cannot confirm what they have and fetch it again");
        }
        _ => {
            findings.degraded(id, seen, "weak or missing ones: caches confirm less than they could, and join no parts");
        }
    }
}

fn kind_of(validator: &Validator<'_>) -> &'static str {
    match (&validator.first, &validator.second) {
        (Some(one), Some(other)) if one != other => "unstable",
        (Some(one), _) if is_strong(one) => "strong",
        (Some(_), _) => "weak",
        (None, _) => "none",
    }
}

/// An `ETag` that is the digest of something else.
fn lie(validator: &Validator<'_>) -> Option<String> {
    let etag = validator.first.as_deref()?;
    let named: Digest = etag.trim_start_matches("W/").trim_matches('"').parse().ok()?;
    let wrong = named != *validator.digest && Digest::of(named.algorithm(), validator.bytes) != named;
    wrong.then(|| format!("the {}'s ETag is the digest of other bytes: caches would take it for those", validator.what))
}

/// Asks whether what we have is still so, and whether something nobody has is.
async fn check_conditions(
    session: &Session,
    name: &RepositoryName,
    reference: &str,
    manifest: &Manifest,
    blob: Option<&Blob>,
    findings: &mut Findings,
) {
    let id = CheckId::IfNoneMatch;
    let by_tag = manifests::question(session, Method::GET, name, reference);
    let mut asked = vec![("tag", by_tag, manifest.get.etag())];
    if let Some(blob) = blob {
        asked.push(("blob", blobs::question(session, Method::GET, name, &blob.digest), blob.get.etag()));
    }
    let (mut seen, mut lies, mut confirmed) = (Vec::new(), false, 0);
    let known = asked.iter().filter(|(_, _, etag)| etag.is_some()).count();
    for (what, question, etag) in &asked {
        let Some(etag) = etag else { continue };
        let own = status(session, &question.clone().with(IF_NONE_MATCH, etag)).await;
        let other = status(session, &question.clone().with(IF_NONE_MATCH, FOREIGN_ETAG)).await;
        lies |= other == "304";
        confirmed += usize::from(own == "304");
        seen.push(format!("{what}: own {own}, another {other}"));
    }
    let seen = seen.join("; ");
    if lies {
        findings.fail(id, seen, "it confirms what nobody has: caches keep what has changed");
    } else if known == 0 {
        findings.degraded(id, "no ETag to ask with", "every confirmation is a whole transfer");
    } else if confirmed == asked.len() {
        findings.pass(id, seen, "a confirmation is a 304 without a body");
    } else if confirmed == 0 {
        findings.degraded(id, seen, "the condition is not looked at: every confirmation is a whole transfer");
    } else {
        findings.degraded(id, seen, "not everywhere: some confirmations are whole transfers");
    }
}

async fn status(session: &Session, question: &Question) -> String {
    match session.ask(question).await {
        Ok(answer) => answer.status.to_string(),
        Err(error) => text(&error.to_string()),
    }
}
