//! What shared caches are told: lifetimes, `Vary`, `Date` and `Age` (RFC 9111).
//!
//! Must not know validators. Invariant: what is said of answers by digest never excuses what is said of those by tag.

use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, DATE, VARY};
use oci::{Digest, Reference, RepositoryName};

use super::blobs::Blob;
use super::cache_control::CacheControl;
use super::manifests::Manifest;
use super::report::{CheckId, Findings};
use super::seen::Seen;
use super::session::Session;

/// A cache that keeps a digest's answer shorter asks for nothing.
const LONG_SECONDS: u64 = 86_400;
/// A tag that is kept longer hides a new image for longer than people wait.
const SHORT_SECONDS: u64 = 3_600;
/// Clocks that differ more make ages wrong.
const CLOCK_SECONDS: u64 = 300;

/// Whether the registry asked for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// Open to all.
    None,
    /// A login that anybody gets: the content is public.
    Anybody,
    /// A login with a credential.
    Credential,
}

/// Checks lifetimes and dates.
pub(super) fn check(reference: &Reference, manifest: &Manifest, blob: Option<&Blob>, findings: &mut Findings) {
    by_digest(manifest, blob, findings);
    match reference {
        Reference::Tag(_) => by_tag(&manifest.get, findings),
        Reference::Digest(_) => findings.skipped(CheckId::CacheTag, "no tag was given", ""),
    }
    date(&manifest.get, findings);
}

fn control(answer: &Seen) -> (String, Option<CacheControl>) {
    let shown = answer.list(&CACHE_CONTROL);
    let read = shown.as_deref().map(CacheControl::parse);
    (shown.unwrap_or_else(|| "none".to_owned()), read)
}

fn by_digest(manifest: &Manifest, blob: Option<&Blob>, findings: &mut Findings) {
    let answers = [("manifest", manifest.by_digest.as_ref()), ("blob", blob.map(|blob| &blob.get))];
    let (mut seen, mut reasons) = (Vec::new(), Vec::new());
    for (what, answer) in answers {
        let Some(answer) = answer else { continue };
        let (shown, read) = control(answer);
        seen.push(format!("{what}: {shown}"));
        let reason = match read {
            None => Some("is left to guesses"),
            Some(control) if control.forbids() => Some("may not be kept by shared caches"),
            Some(control) if control.shared_seconds().is_none_or(|seconds| seconds < LONG_SECONDS) => {
                Some("is asked for again and again")
            }
            Some(_) => None,
        };
        reasons.extend(reason.map(|reason| format!("{what} {reason}, though its bytes never change")));
    }
    let id = CheckId::CacheDigest;
    match (seen.is_empty(), reasons.is_empty()) {
        (true, _) => findings.skipped(id, "nothing was got by digest", ""),
        (false, true) => findings.pass(id, seen.join("; "), "shared caches keep it for good"),
        (false, false) => findings.degraded(id, seen.join("; "), reasons.join("; ")),
    }
}

fn by_tag(get: &Seen, findings: &mut Findings) {
    let id = CheckId::CacheTag;
    let (shown, read) = control(get);
    let Some(control) = read else {
        return findings.degraded(id, shown, "left to guesses: a cache may keep an old image or nothing at all");
    };
    match control.shared_seconds() {
        _ if control.immutable && control.shared_seconds().is_some_and(|seconds| seconds > 0) => {
            findings.fail(id, shown, "a tag that may move is called immutable: shared caches never see the new image");
        }
        Some(seconds) if seconds > LONG_SECONDS => {
            findings.fail(id, shown, format!("shared caches keep the old image for {} h", seconds / 3600));
        }
        Some(seconds) if seconds > SHORT_SECONDS => {
            findings.degraded(id, shown, format!("shared caches keep the old image for {} h", seconds / 3600));
        }
        Some(0) => findings.pass(id, shown, "shared caches ask each time, and see a new image at once"),
        Some(seconds) => findings.pass(id, shown, format!("shared caches see a new image within {seconds} s")),
        None if control.forbids() => {
            findings.degraded(id, shown, "shared caches keep nothing: each pull asks the registry");
        }
        None => findings.degraded(id, shown, "no lifetime: left to guesses"),
    }
}

fn date(get: &Seen, findings: &mut Findings) {
    let id = CheckId::Date;
    let age = get.shown(&AGE);
    let word = age.as_ref().map_or("no Age".to_owned(), |age| format!("Age {age}"));
    if age.as_ref().is_some_and(|age| age.trim().parse::<u64>().is_err()) {
        return findings.fail(id, word, "an Age that is no number: caches take the answer for stale");
    }
    let Some(shown) = get.shown(&DATE) else {
        return findings.degraded(
            id,
            format!("no Date, {word}"),
            "caches count from when they got it: ages add up wrong",
        );
    };
    let seen = format!("Date {shown}, {word}");
    let Ok(date) = httpdate::parse_http_date(&shown) else {
        return findings.fail(id, seen, "a Date that is none: lifetimes cannot be counted");
    };
    let now = SystemTime::now();
    let apart = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or(Duration::ZERO);
    // A cached answer may carry the date of when it was made.
    let explained = age.and_then(|age| age.trim().parse::<u64>().ok()).unwrap_or(0);
    if apart.as_secs() > CLOCK_SECONDS + explained {
        return findings.degraded(
            id,
            seen,
            format!("its clock and ours are {} s apart: lifetimes are counted wrong", apart.as_secs()),
        );
    }
    findings.pass(id, seen, "lifetimes can be counted");
}

/// Checks whether the same address gives different answers, and whether caches are told so.
pub(super) async fn check_vary(
    session: &Session,
    name: &RepositoryName,
    reference: &str,
    manifest: &Manifest,
    login: Login,
    findings: &mut Findings,
) {
    let id = CheckId::Vary;
    let shown = manifest.get.list(&VARY);
    let vary: Vec<String> =
        shown.as_deref().unwrap_or_default().split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    let says = |name: &str| vary.iter().any(|known| known == name);
    let narrow = session
        .content(Method::GET, name, &format!("manifests/{reference}"), oci::limits::MAX_MANIFEST_BYTES)
        .with(ACCEPT, "application/vnd.docker.distribution.manifest.v2+json");
    let other = session.ask(&narrow).await.ok();
    let depends = other.as_ref().is_some_and(|other| {
        other.status != 200 || Digest::of(manifest.digest.algorithm(), &other.body.bytes) != manifest.digest
    });
    let answered = other.map_or("no answer".to_owned(), |other| other.status.to_string());
    let control = control(&manifest.get).1.unwrap_or_default();
    let seen = format!(
        "Vary {}, {} by Accept ({answered}), {}",
        shown.clone().unwrap_or_else(|| "none".to_owned()),
        if depends { "differs" } else { "the same" },
        match login {
            Login::None => "no login",
            Login::Anybody => "a login that anybody gets",
            Login::Credential => "a login with a credential",
        }
    );
    if says("*") {
        findings.degraded(id, seen, "shared caches keep nothing");
    } else if login == Login::Credential && control.shares_authorized() && !says("authorization") {
        findings.fail(id, seen, "private images are marked as public: a shared cache gives them to anybody");
    } else if depends && !says("accept") {
        findings.degraded(
            id,
            seen,
            "the answer depends on Accept but does not say so: a shared cache may give one client another's",
        );
    } else if login == Login::Credential {
        findings.pass(id, seen, "shared caches keep private images to themselves, or apart for each login");
    } else {
        findings.pass(id, seen, "one copy serves every client that asks alike");
    }
}
