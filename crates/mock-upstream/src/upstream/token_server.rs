//! The token server of an upstream: GET with Basic, POST with a form, and the exchange of a cloud's token.
//!
//! Must not know content. Invariant: a token holds the scopes that were asked for, and only those who may have them get
//! one that is worth something.

use url::form_urlencoded;

use super::access::{Access, Account, BearerRules, Nobody};
use super::answer::Answer;
use super::request_log::Entry;
use super::state::State;
use super::target::Kind;

/// The user name that goes with a refresh token.
const REFRESH_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Whether the path is that of the token server.
pub(crate) fn is_at(state: &State, path: &str) -> bool {
    match state.access() {
        Access::Bearer(rules) => {
            path == rules.manner.path || rules.manner.exchange.is_some_and(|(exchange, _)| path == exchange)
        }
        // A token server beside an open registry issues tokens to anybody.
        Access::Open | Access::Basic(_) | Access::BasicAfter(..) | Access::Accounts(_) => {
            Kind::of_path(path) == Kind::Token
        }
    }
}

/// Its answer.
pub(crate) fn answer(state: &State, request: &Entry) -> Answer {
    let rules = match state.access() {
        Access::Bearer(rules) => rules,
        Access::Open | Access::Basic(_) | Access::BasicAfter(..) | Access::Accounts(_) => BearerRules::default(),
    };
    let form = match request.method.as_str() {
        "GET" => request.query.as_bytes(),
        "POST" => &request.body,
        _ => return Answer::error(405, "UNSUPPORTED", "tokens are asked for with GET or POST"),
    };
    let field = |wanted: &str| {
        form_urlencoded::parse(form).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    if let Some((_, cloud_token)) = rules.manner.exchange.as_ref().filter(|(path, _)| request.path == *path) {
        return exchange(&rules, request, field("access_token").as_deref() == Some(cloud_token));
    }
    let may = if request.method == "POST" {
        post_login(&rules, &field)
    } else {
        basic_login(&rules, request.header("authorization"))
    };
    let Some(login) = may else { return Answer::error(401, "UNAUTHORIZED", "wrong user name or password") };
    let scopes = form_urlencoded::parse(form)
        .filter(|(name, _)| name == "scope" && login == Who::Known)
        .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let scopes = match state.access() {
        Access::Accounts(accounts) => accounts.scopes_for(request.header("authorization"), scopes),
        Access::Open | Access::Basic(_) | Access::BasicAfter(..) | Access::Bearer(_) => Some(scopes),
    };
    match scopes {
        Some(scopes) => issue(state, &rules, scopes),
        None => Answer::error(401, "UNAUTHORIZED", "wrong user name or password"),
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Somebody who gets what is asked for.
    Known,
    /// Somebody who gets a token that opens nothing.
    Nobody,
}

fn basic_login(rules: &BearerRules, authorization: Option<&str>) -> Option<Who> {
    let Some(account) = &rules.account else { return Some(Who::Known) };
    let refresh = rules.manner.refresh_token.as_ref().map(|token| Account::new(REFRESH_USER, token).basic());
    match (authorization, rules.manner.nobody) {
        (Some(offered), _) if offered == account.basic() || Some(offered) == refresh.as_deref() => Some(Who::Known),
        (None, Nobody::Worthless) => Some(Who::Nobody),
        (Some(_), _) | (None, Nobody::Refused) => None,
    }
}

fn post_login(rules: &BearerRules, field: &dyn Fn(&str) -> Option<String>) -> Option<Who> {
    let (grant, refresh) = (field("grant_type")?, rules.manner.refresh_token.as_deref());
    let known = match grant.as_str() {
        "refresh_token" => refresh.is_some() && field("refresh_token").as_deref() == refresh,
        "password" => rules.account.as_ref().is_some_and(|account| {
            field("username").as_deref() == Some(&account.username)
                && field("password").as_deref() == Some(&account.password)
        }),
        _ => false,
    };
    known.then_some(Who::Known)
}

fn exchange(rules: &BearerRules, request: &Entry, is_known: bool) -> Answer {
    match (&rules.manner.refresh_token, is_known && request.method == "POST") {
        (Some(token), true) => {
            Answer::new(200, "application/json", serde_json::json!({ "refresh_token": token }).to_string())
        }
        (Some(_) | None, _) => Answer::error(401, "UNAUTHORIZED", "this token is not known here"),
    }
}

fn issue(state: &State, rules: &BearerRules, scopes: Vec<String>) -> Answer {
    let token = state.tokens.issue(scopes, rules.lifetime);
    let mut body = match rules.manner.field {
        None => serde_json::json!({ "token": token, "access_token": token }),
        Some(field) => serde_json::json!({ field: token }),
    };
    if let Some(seconds) = rules.announced_seconds {
        body["expires_in"] = seconds.into();
    }
    Answer::new(200, "application/json", body.to_string())
}
