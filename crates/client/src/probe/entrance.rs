//! `/v2/`, the challenge, the token: how one gets in; and what the connection is like once it stands.
//!
//! Must not know content. Invariant: no credential is sent before the registry has asked for it, as in a pull.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, Version};
use oci::Challenge;
use url::Url;

use super::report::{CheckId, Findings};
use super::seen::{Seen, text};
use super::session::{Question, Session};
use crate::redact;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A token that lives shorter is fetched more than once during one pull.
const SHORT_TOKEN_SECONDS: u64 = 60;

/// Checks `/v2/`, and by two requests in a row what the connection is like.
pub(super) async fn check_base(session: &Session, findings: &mut Findings) {
    let first = match session.ask_anonymously(&session.base()).await {
        Ok(first) => first,
        Err(error) => {
            let meaning = "no registry answers; what is cached is served";
            return findings.fail(CheckId::Base, text(&error.to_string()), meaning);
        }
    };
    base(session, &first, findings).await;
    protocol(session, &first, findings);
    match session.ask_anonymously(&session.base()).await {
        Ok(second) => reuse(&second, findings),
        Err(error) => findings.degraded(
            CheckId::KeepAlive,
            text(&error.to_string()),
            "the second request on a connection fails: every request needs a retry",
        ),
    }
}

async fn base(session: &Session, first: &Seen, findings: &mut Findings) {
    let version = first.shown(&API_VERSION);
    let said = version.as_ref().map_or("no API version header".to_owned(), |version| format!("API version {version}"));
    let seen = format!("{}, {said}", first.brief());
    let known = version.is_none_or(|version| version.contains("registry/2.0"));
    match first.status {
        200 if known => findings.pass(CheckId::Base, seen, "a registry, open to all"),
        200 => findings.degraded(CheckId::Base, seen, "it answers, but names another API"),
        401 if !session.client.handshake().is_anonymous() => login(session, seen, findings).await,
        401 => findings.pass(CheckId::Base, seen, "a registry that wants a login"),
        301..=308 => {
            findings.degraded(CheckId::Base, seen, "the API is somewhere else: configure the address it leads to");
        }
        404 => findings.fail(CheckId::Base, seen, "no registry API at this address: is a path missing in the URL?"),
        _ => findings.fail(CheckId::Base, seen, "no registry answers; what is cached is served"),
    }
}

async fn login(session: &Session, seen: String, findings: &mut Findings) {
    match session.ask(&session.base()).await {
        Ok(second) if second.status == 200 => {
            findings.pass(CheckId::Base, format!("{seen}; with the login {}", second.brief()), "the login is taken");
        }
        Ok(second) => findings.fail(
            CheckId::Base,
            format!("{seen}; with the login {}", second.brief()),
            "the login is refused: private images cannot be pulled",
        ),
        Err(error) => findings.fail(
            CheckId::Base,
            format!("{seen}; with the login: {}", text(&error.to_string())),
            "the login cannot be used: private images cannot be pulled",
        ),
    }
}

fn protocol(session: &Session, first: &Seen, findings: &mut Findings) {
    let seen = format!("{:?}", first.version);
    match (session.url().scheme(), first.version) {
        ("https", Version::HTTP_2) => {
            findings.pass(CheckId::Http2, seen, "many small requests share one connection");
        }
        ("https", _) => findings.degraded(
            CheckId::Http2,
            seen,
            "each transfer has a connection of its own: fine for large blobs, slower for many small ones",
        ),
        _ => findings.skipped(CheckId::Http2, format!("{seen} over plain http"), "HTTP/2 is negotiated by TLS"),
    }
}

fn reuse(second: &Seen, findings: &mut Findings) {
    match second.new_connection {
        None => findings.pass(
            CheckId::KeepAlive,
            format!("second request {} on the same connection", second.brief()),
            "asking again costs one round trip",
        ),
        Some(took) => findings.degraded(
            CheckId::KeepAlive,
            format!("the second request needed a new connection ({} ms)", took.as_millis()),
            "every request pays for a connection",
        ),
    }
}

/// Checks what is asked of who has shown nothing, by the request that a pull makes first. Whether a login is needed.
pub(super) async fn check_challenge(session: &Session, question: &Question, findings: &mut Findings) -> bool {
    let answer = match session.ask_anonymously(question).await {
        Ok(answer) => answer,
        Err(error) => {
            findings.fail(CheckId::Challenge, text(&error.to_string()), "the first request of every pull fails");
            return false;
        }
    };
    if answer.status != 401 {
        let meaning = "no login is asked for: nothing to fetch before the first byte";
        findings.pass(CheckId::Challenge, format!("none, {}", answer.brief()), meaning);
        findings.skipped(CheckId::Token, "no token is asked for", "");
        return false;
    }
    match answer.list(&WWW_AUTHENTICATE).map(|value| Challenge::parse_all(&value)) {
        None => findings.fail(CheckId::Challenge, "401 without WWW-Authenticate", "no client can tell how to log in"),
        Some(Err(error)) => {
            findings.fail(CheckId::Challenge, text(&error.to_string()), "no client can tell how to log in");
        }
        Some(Ok(challenges)) => judge(session, &challenges, findings),
    }
    true
}

fn judge(session: &Session, challenges: &[Challenge], findings: &mut Findings) {
    let with = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
    let id = CheckId::Challenge;
    if let Some(bearer) = with("bearer") {
        let seen = described(bearer);
        let Some(realm) = bearer.param("realm") else {
            return findings.fail(id, seen, "a Bearer challenge without a realm: nobody knows where tokens are");
        };
        match session.client.handshake().judge_realm(realm) {
            Ok(()) => findings.pass(id, seen, "the realm is bound to this registry, or gets no credential"),
            Err(refused) => findings.fail(id, seen, text(&refused)),
        }
    } else if with("basic").is_some() {
        let known = !session.client.handshake().is_anonymous();
        let plain = session.url().scheme() == "http" && !is_loopback(session.url());
        match (known, plain) {
            (true, false) => findings.pass(id, "Basic", "the credential goes with every request"),
            (true, true) => findings.degraded(id, "Basic over plain http", "the password can be read on the way"),
            (false, _) => {
                findings.fail(id, "Basic, and no credential is configured", "give it one, or nothing is pulled");
            }
        }
    } else {
        let schemes: Vec<_> = challenges.iter().map(|challenge| text(&challenge.scheme)).collect();
        findings.fail(id, schemes.join(", "), "only Bearer and Basic are known");
    }
}

fn described(bearer: &Challenge) -> String {
    let realm = match bearer.param("realm").map(Url::parse) {
        Some(Ok(realm)) => redact::url(&realm),
        Some(Err(_)) => "no URL".to_owned(),
        None => "none".to_owned(),
    };
    let word = |name| bearer.param(name).map_or("none".to_owned(), text);
    format!("Bearer, realm {realm}, service {}, scope {}", word("service"), word("scope"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Checks the token that the login brought; to be called after a question that needed it.
pub(super) fn check_token(session: &Session, question: &Question, findings: &mut Findings) {
    if findings.has(CheckId::Token) {
        return;
    }
    let Some(lives) = session.client.handshake().token_lives(question.call()) else {
        return findings.skipped(CheckId::Token, "no token was got", "");
    };
    // The time of the request is on the token's account: 299.8 s were 300.
    let seconds = lives.as_secs() + u64::from(lives.subsec_nanos() > 0);
    let seen = format!("lives {seconds} s");
    if seconds < SHORT_TOKEN_SECONDS {
        findings.degraded(CheckId::Token, seen, "fetched anew during one pull; each time a request more");
    } else {
        findings.pass(CheckId::Token, seen, "fetched once, used by all pulls of this name until it ends");
    }
}
