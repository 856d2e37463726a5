//! Who asks: the one way from a request to a route that content is served from.
//!
//! The router calls it before every endpoint that serves content, whatever the method, and hands the route on. Must not
//! know what is cached. Invariants: a caller's credential is read only where callers log in with their own accounts, and
//! goes to the registry only; what was issued for us (the admin token) goes nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oci::ErrorCode;
use registry::{Action, CallerCredential, EntranceAsks, PullKind, Repository, Route, RouteQuery};

use super::V2Request;
use crate::api::AdminToken;
use crate::middleware::log_request::{RequestRecord, Subject};
use crate::respond::{Failure, challenge};

/// Longest `Authorization` value read: as long as any token in use, far below the limit on heads.
const MAX_AUTHORIZATION: usize = 16 * 1024;

/// The realm where accounts of several upstreams are taken.
const ANY_UPSTREAM: &str = "the upstream you pull from";

/// What a request shows of its caller.
enum Shown {
    Nothing,
    Account(CallerCredential),
    /// Something that is no account at an upstream.
    Unusable(&'static str),
}

impl V2Request<'_> {
    fn route_query<'a>(&'a self, path: &'a str) -> RouteQuery<'a> {
        RouteQuery {
            path,
            ns: self.query.ns.as_ref().map(AsRef::as_ref),
            host: self.host,
            local_port: Some(self.local_port),
        }
    }

    /// Finds the repository that answers for `name`, and lets the caller pass who may do `action` there.
    pub(crate) async fn admit(
        &self,
        name: &str,
        action: &Action,
        record: &mut RequestRecord,
    ) -> Result<Route, Failure> {
        let mut route = self.registry.route(&self.route_query(name))?;
        route.trace = Some(self.trace);
        record.subject = Some(subject(&route, action));
        if !route.repo.is_passthrough() {
            return Ok(route);
        }
        let shown = shown(self.headers, self.admin_token);
        record.principal = Some(self.registry.principal(&route, shown.account()));
        let caller = shown.usable(route.repo.upstream())?;
        Ok(Box::pin(self.registry.authorize(route, caller.as_ref(), action)).await?)
    }

    /// Whose login `GET /v2/` asks for here.
    pub(crate) fn entrance(&self) -> EntranceAsks {
        self.registry.entrance(&self.route_query(""))
    }

    /// Lets a caller pass at `GET /v2/` whose account this repository's upstream takes.
    pub(crate) async fn log_in(&self, repository: &Repository) -> Result<(), Failure> {
        let caller = shown(self.headers, self.admin_token).usable(repository.upstream())?;
        Ok(Box::pin(self.registry.log_in(repository, caller.as_ref())).await?)
    }

    /// Lets a caller pass at `GET /v2/` who shows any account: whether it opens anything, each repository says.
    pub(crate) fn shows_an_account(&self) -> Result<(), Failure> {
        match shown(self.headers, self.admin_token).usable(ANY_UPSTREAM)? {
            Some(_) => Ok(()),
            None => Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthorized,
                "repositories here want their callers' own accounts: log in with yours at the upstream you pull from",
            )
            .with_header(header::WWW_AUTHENTICATE, challenge(ANY_UPSTREAM))),
        }
    }
}

fn subject(route: &Route, action: &Action) -> Subject {
    let (kind, reference) = match action {
        Action::Manifest(reference) => (PullKind::Manifest, Some(reference.clone())),
        Action::Blob(digest) => (PullKind::Blob, Some((*digest).into())),
        Action::Tags => (PullKind::Tags, None),
        Action::Referrers(digest) => (PullKind::Referrers, Some((*digest).into())),
    };
    Subject { kind, repo: route.repo.clone(), name: route.name.clone(), reference }
}

impl Shown {
    fn account(&self) -> Option<&CallerCredential> {
        match self {
            Self::Account(caller) => Some(caller),
            Self::Nothing | Self::Unusable(_) => None,
        }
    }

    fn usable(self, upstream: &str) -> Result<Option<CallerCredential>, Failure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Account(caller) => Ok(Some(caller)),
            Self::Unusable(why) => {
                let message = format!("{why}; log in with your own account of {upstream}");
                Err(Failure::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
                    .with_header(header::WWW_AUTHENTICATE, challenge(upstream)))
            }
        }
    }
}

/// Reads `Authorization`: Basic (RFC 7617) and nothing else. A Bearer token was not minted for us by anybody, so passing
/// it on would show it to whom it was not meant for.
fn shown(headers: &HeaderMap, admin_token: &AdminToken) -> Shown {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = given.next() else { return Shown::Nothing };
    if given.next().is_some() {
        return Shown::Unusable("more than one Authorization header");
    }
    let Some(caller) = basic(first) else {
        return Shown::Unusable("this Authorization is not a user name and password (Basic)");
    };
    let (username, password) = caller;
    if username.is_empty() && password.is_empty() {
        return Shown::Nothing;
    }
    if admin_token.is(&password) || admin_token.is(&username) {
        return Shown::Unusable("the admin token of this server is no account of the upstream, and is not sent there");
    }
    Shown::Account(CallerCredential::new(&username, &password))
}

/// User name and password of a Basic value.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok().filter(|text| text.len() <= MAX_AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = pair.split_once(':')?;
    let clean = |text: &str| !text.contains(char::is_control);
    (clean(username) && clean(password)).then(|| (username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_one_well_formed_basic_value_is_an_account() {
        let token = AdminToken::new("s3cret-Token");
        let pair = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for account in [pair("ann:pw"), pair("ann:p:w"), pair("ann:").replace("Basic", "bAsIc"), pair(":token")] {
            assert!(matches!(shown(&with(&[&account]), &token), Shown::Account(_)), "{account}");
        }
        assert!(matches!(shown(&with(&[]), &token), Shown::Nothing));
        assert!(matches!(shown(&with(&[&pair(":")]), &token), Shown::Nothing), "docker sends this without a login");
        for bad in [
            vec!["Bearer abc".to_owned()],
            vec!["Basic".to_owned()],
            vec!["Basic %%%".to_owned()],
            vec![pair("no colon")],
            vec![pair("a:b\r\nX-Evil: 1")],
            vec![pair("a\0:b")],
            vec![pair("ann:pw"), pair("ann:pw")],
            vec![pair("ann:pw"), "Bearer x".to_owned()],
            vec![pair("admin:s3cret-Token")],
            vec![pair("s3cret-Token:x")],
            vec![format!("Basic {}", "QUFB".repeat(8000))],
        ] {
            let values: Vec<&str> = bad.iter().map(String::as_str).collect();
            assert!(matches!(shown(&with(&values), &token), Shown::Unusable(_)), "{bad:?}");
        }
    }
}
