//! Who asks: the one way from a request to a route that content is served from or pushed to.
//!
//! The router calls it before every endpoint that serves or takes content, whatever the method, and hands the route on.
//! Must not know what is cached. Invariants: a caller's credential for an upstream is read only where callers log in with
//! their own accounts, and goes to the registry only; what was issued for us (the admin token, tokens of our token
//! service) is compared here and goes nowhere.

use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oci::ErrorCode;
use registry::{
    Action, CallerCredential, EntranceAsks, GroupRoute, HostedRoute, Place, PullKind, PushPolicy, Pusher, Repository,
    RouteQuery, Shown, Want,
};

use super::push::PushRequest;
use super::{V2Request, Verb, unsupported};
use crate::api::AdminToken;
use crate::middleware::log_request::RequestRecord;
use crate::middleware::subject::Subject;
use crate::respond::{Failure, challenge};
use crate::state::App;
use crate::token::Bearer;

/// Longest `Authorization` value read: as long as any token in use, far below the limit on heads.
const MAX_AUTHORIZATION: usize = 16 * 1024;

/// The realm where accounts of several upstreams are taken.
const ANY_UPSTREAM: &str = "the upstream you pull from";

/// What a request shows of its caller's account at an upstream.
enum Account {
    Nothing,
    Shown(CallerCredential),
    /// Something that is no account at an upstream.
    Unusable(&'static str),
}

impl V2Request<'_> {
    pub(crate) fn route_query<'a>(&'a self, path: &'a str) -> RouteQuery<'a> {
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
    ) -> Result<Place, Failure> {
        let mut place = self.registry.locate(&self.route_query(name))?;
        record.subject = Some(subject(&place, action));
        if let Place::Group(route) = place {
            return Box::pin(self.resolve(route, action, record)).await;
        }
        // Reading what was pushed is open, like pulling through.
        let Place::Proxy(route) = &mut place else { return Ok(place) };
        route.trace = Some(self.trace);
        if !route.repo.is_passthrough() {
            return Ok(place);
        }
        let shown = shown(self.headers, &self.app.admin_token);
        record.principal = Some(self.registry.principal(route, shown.account()));
        let caller = shown.usable(route.repo.upstream())?;
        Ok(Place::Proxy(Box::pin(self.registry.authorize(route.clone(), caller.as_ref(), action)).await?))
    }

    /// Finds the member of a group that answers. Members let everybody in, as other caches and hosted repositories do:
    /// one whose callers have rights of their own cannot be a member.
    async fn resolve(
        &self,
        mut route: GroupRoute,
        action: &Action,
        record: &mut RequestRecord,
    ) -> Result<Place, Failure> {
        route.trace = Some(self.trace);
        let want = match self.verb {
            Verb::Get => Want::Content,
            Verb::Head => Want::Stat,
        };
        let resolved = self.registry.resolve(&route, action, want).await?;
        record.subject = Some(subject(&resolved.place, action).through(route.repo.key(), &resolved));
        Ok(resolved.place)
    }

    /// Whose login `GET /v2/` asks for here.
    pub(crate) fn entrance(&self) -> EntranceAsks {
        self.registry.entrance(&self.route_query(""))
    }

    /// Lets a caller pass at `GET /v2/` whose account this repository's upstream takes.
    pub(crate) async fn log_in(&self, repository: &Repository) -> Result<(), Failure> {
        let caller = shown(self.headers, &self.app.admin_token).usable(repository.upstream())?;
        Ok(Box::pin(self.registry.log_in(repository, caller.as_ref())).await?)
    }

    /// Lets a caller pass at `GET /v2/` who shows any account: whether it opens anything, each repository says.
    pub(crate) fn shows_an_account(&self) -> Result<(), Failure> {
        match shown(self.headers, &self.app.admin_token).usable(ANY_UPSTREAM)? {
            Some(_) => Ok(()),
            None => Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::Unauthorized,
                "repositories here want their callers' own accounts: log in with yours at the upstream you pull from",
            )
            .with_header(header::WWW_AUTHENTICATE, challenge(ANY_UPSTREAM))),
        }
    }

    /// Lets a caller pass at `GET /v2/` where pushes need a login: clients learn here how to log in, and ask nowhere else.
    /// Who logs in as nobody may go on, and pull.
    pub(crate) fn greet(&self) -> Result<(), Failure> {
        let hosted = self.registry.hosted_here(&self.route_query(""));
        if hosted.iter().all(|repo| repo.spec().push == PushPolicy::Anyone) {
            return Ok(());
        }
        match push_shown(self.headers, self.app, self.peer) {
            PushShown { shown: Shown::AdminToken, .. } | PushShown { logged_in: true, .. } => Ok(()),
            PushShown { .. } => {
                let message = "log in to push, or as nobody to pull: ask the token service for a token";
                let failure = Failure::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message);
                Err(failure.with_header(header::WWW_AUTHENTICATE, self.app.public.challenge(self.host, None)))
            }
        }
    }

    /// Whether the caller shows what opens pushes, where there is something to push to.
    pub(crate) fn is_pusher(&self) -> bool {
        !self.registry.hosted_here(&self.route_query("")).is_empty()
            && push_shown(self.headers, self.app, self.peer).shown == Shown::AdminToken
    }
}

fn subject(place: &Place, action: &Action) -> Subject {
    let (kind, reference) = match action {
        Action::Manifest(reference) => (PullKind::Manifest, Some(reference.clone())),
        Action::Blob(digest) => (PullKind::Blob, Some((*digest).into())),
        Action::Tags => (PullKind::Tags, None),
        Action::Referrers(digest) => (PullKind::Referrers, Some((*digest).into())),
    };
    let (repo_key, upstream) = (place.repo_key().clone(), place.upstream().cloned());
    Subject { kind, repo_key, upstream, name: place.name().clone(), reference, member: None }
}

impl Account {
    fn account(&self) -> Option<&CallerCredential> {
        match self {
            Self::Shown(caller) => Some(caller),
            Self::Nothing | Self::Unusable(_) => None,
        }
    }

    fn usable(self, upstream: &str) -> Result<Option<CallerCredential>, Failure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Shown(caller) => Ok(Some(caller)),
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
fn shown(headers: &HeaderMap, admin_token: &AdminToken) -> Account {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = given.next() else { return Account::Nothing };
    if given.next().is_some() {
        return Account::Unusable("more than one Authorization header");
    }
    let Some(caller) = basic(first) else {
        return Account::Unusable("this Authorization is not a user name and password (Basic)");
    };
    let (username, password) = caller;
    if username.is_empty() && password.is_empty() {
        return Account::Nothing;
    }
    if admin_token.is(&password) || admin_token.is(&username) {
        return Account::Unusable(
            "the admin token of this server is no account of the upstream, and is not sent there",
        );
    }
    Account::Shown(CallerCredential::new(&username, &password))
}

/// What a request shows to push: see [`push_shown`].
struct PushShown {
    shown: Shown,
    /// Whether it came through the token service, be it as nobody.
    logged_in: bool,
}

/// Reads what a request shows to us, as opposed to an upstream: the admin token as the password of Basic (any user name)
/// or as Bearer, or a token of our token service.
fn push_shown(headers: &HeaderMap, app: &App, peer: IpAddr) -> PushShown {
    let nothing = if peer.to_canonical().is_loopback() { Shown::NothingFromHere } else { Shown::Nothing };
    let read = |shown, logged_in| PushShown { shown, logged_in };
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = given.next() else { return read(nothing, false) };
    if given.next().is_some() {
        return read(Shown::Wrong, false);
    }
    if let Some((username, password)) = basic(first) {
        return match (app.admin_token.is(&password), username.is_empty() && password.is_empty()) {
            (true, _) => read(Shown::AdminToken, true),
            (false, true) => read(nothing, false),
            (false, false) => read(Shown::Wrong, false),
        };
    }
    let bearer = first.to_str().ok().filter(|text| text.len() <= MAX_AUTHORIZATION).and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match bearer.filter(|token| !token.is_empty()) {
        Some(token) if app.admin_token.is(token) => read(Shown::AdminToken, true),
        Some(token) => match app.tokens.read(token, SystemTime::now()) {
            Some(Bearer::Admin) => read(Shown::AdminToken, true),
            Some(Bearer::Nobody) => read(nothing, true),
            None => read(Shown::Wrong, false),
        },
        None => read(Shown::Wrong, false),
    }
}

impl PushRequest<'_> {
    /// Finds the hosted repository for `name`, which may be a group's member, and lets the caller pass who may push to it.
    pub(crate) async fn admit(
        &self,
        name: &str,
        action: &Action,
        record: &mut RequestRecord,
    ) -> Result<(HostedRoute, Pusher), Failure> {
        let place = self.app.registry.locate(&self.route_query(name))?;
        record.subject = Some(subject(&place, action));
        let route = match place {
            Place::Hosted(route) => route,
            Place::Proxy(route) => return Err(unsupported::push(route.repo.key())),
            Place::Group(group) => {
                // Who may not push hears that first, and nothing of who has which name.
                if let Some(member) = group.repo.push_target() {
                    self.authorize(&HostedRoute { repo: member.clone(), name: group.name.clone() }, name)?;
                }
                let route = Box::pin(self.app.registry.push_route(&group)).await?;
                record.subject = Some(subject(&Place::Hosted(route.clone()), action).pushed_through(group.repo.key()));
                route
            }
        };
        let pusher = self.authorize(&route, name)?;
        record.pusher = Some(pusher);
        Ok((route, pusher))
    }

    fn authorize(&self, route: &HostedRoute, name: &str) -> Result<Pusher, Failure> {
        let shown = push_shown(self.headers, self.app, self.peer).shown;
        self.app.registry.authorize_push(route, shown).map_err(|refused| {
            let failure = Failure::from(refused);
            failure.with_header(header::WWW_AUTHENTICATE, self.app.public.challenge(self.host, Some(name)))
        })
    }

    /// What a request says of where it wants to go. `ns` does not count: it names an upstream to pull from.
    pub(crate) fn route_query<'a>(&'a self, path: &'a str) -> RouteQuery<'a> {
        RouteQuery { path, ns: None, host: self.host, local_port: Some(self.local_port) }
    }
}

/// User name and password of a Basic value.
pub(crate) fn basic(value: &HeaderValue) -> Option<(String, String)> {
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
            assert!(matches!(shown(&with(&[&account]), &token), Account::Shown(_)), "{account}");
        }
        assert!(matches!(shown(&with(&[]), &token), Account::Nothing));
        assert!(matches!(shown(&with(&[&pair(":")]), &token), Account::Nothing), "docker sends this without a login");
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
            assert!(matches!(shown(&with(&values), &token), Account::Unusable(_)), "{bad:?}");
        }
    }
}
