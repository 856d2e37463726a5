//! Who may read from an upstream: everybody, a Basic account, or a Bearer token from a token server.
//!
//! Must not know: contents, faults. Invariant: a token counts only for the scopes it was issued for and until it
//! expires; what was refused is answered by a challenge, never by silence.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::target::Kind;

/// A user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User name.
    pub username: String,
    /// Password, in the clear: these are made up by tests.
    pub password: String,
}

impl Account {
    /// An account.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.into(), password: password.into() }
    }

    /// The `Authorization` value of this account.
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

/// How the token flow of an upstream behaves.
#[derive(Clone, Debug)]
pub struct BearerRules {
    /// The realm of the challenge; `None` is this upstream's own `/token`.
    pub realm: Option<String>,
    /// The service of the challenge.
    pub service: String,
    /// Who gets tokens; `None` issues them to anybody.
    pub account: Option<Account>,
    /// How long an issued token is honoured.
    pub lifetime: Duration,
    /// `expires_in` of the token answer; `None` leaves it out.
    pub announced_seconds: Option<u64>,
    /// How the challenge and the token server look in detail.
    pub manner: BearerManner,
}

/// How a token server and the challenge that leads to it look. The default is a plain one.
#[derive(Clone, Debug)]
pub struct BearerManner {
    /// Where the token server answers.
    pub path: &'static str,
    /// The challenge, with `{realm}`, `{service}` and `{scope}` to be filled in.
    pub challenge: &'static str,
    /// The same for `/v2/`.
    pub ping_challenge: &'static str,
    /// The name of the token in the answer; both usual ones when `None`.
    pub field: Option<&'static str>,
    /// What a token is good for.
    pub reach: TokenReach,
    /// The action that a tag list needs.
    pub tags_action: &'static str,
    /// What those get who do not log in where one has to.
    pub nobody: Nobody,
    /// A refresh token that is taken by POST, and as the password of `00000000-0000-0000-0000-000000000000`.
    pub refresh_token: Option<String>,
    /// Where a token of the cloud is exchanged for the refresh token, and that token.
    pub exchange: Option<(&'static str, String)>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReach {
    /// The repositories of its scopes.
    Repositories,
    /// All repositories that share the first segment with one of its scopes.
    Projects,
    /// Everything, whatever its scope is called.
    Everything,
}

/// What a token server has for those who do not log in where one has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// 401.
    Refused,
    /// A token that opens nothing.
    Worthless,
}

impl Default for BearerManner {
    fn default() -> Self {
        Self {
            path: "/token",
            challenge: r#"Bearer realm="{realm}",service="{service}",scope="{scope}""#,
            ping_challenge: r#"Bearer realm="{realm}",service="{service}""#,
            field: None,
            reach: TokenReach::Repositories,
            tags_action: "pull",
            nobody: Nobody::Refused,
            refresh_token: None,
            exchange: None,
        }
    }
}

impl Default for BearerRules {
    fn default() -> Self {
        let (lifetime, announced_seconds) = (Duration::from_mins(5), Some(300));
        let manner = BearerManner::default();
        Self { realm: None, service: "fake-upstream".into(), account: None, lifetime, announced_seconds, manner }
    }
}

/// Who may read.
#[expect(clippy::large_enum_variant, reason = "there is one for each upstream")]
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// This account, by Basic.
    Basic(Account),
    /// This account, by Basic, after this challenge.
    BasicAfter(Account, &'static str),
    /// Whoever holds a token.
    Bearer(BearerRules),
    /// Accounts with rights of their own, as at the large public registries.
    Accounts(Accounts),
}

/// How an account is shown, and how the lack of a right is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Basic; an account without the right gets this status (401, 403 or 404).
    Basic(u16),
    /// Tokens from this upstream's own `/token`, which hold what the account may; without the right it is a 401 again.
    Bearer,
}

/// Accounts and what each may read.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// How they log in.
    pub login: Login,
    /// Each account with the repositories it may read.
    pub rights: Vec<(Account, Vec<String>)>,
    /// Repositories that need no account.
    pub public: Vec<String>,
}

/// What an `Authorization` value is worth.
enum Shown<'a> {
    Nothing,
    Account(&'a [String]),
    Wrong,
}

impl Accounts {
    fn shown(&self, authorization: Option<&str>) -> Shown<'_> {
        let Some(authorization) = authorization else { return Shown::Nothing };
        let known = self.rights.iter().find(|(account, _)| account.basic() == authorization);
        known.map_or(Shown::Wrong, |(_, names)| Shown::Account(names))
    }

    /// Of `scopes`, those that a token may hold; `None` when there is no such account.
    pub(crate) fn scopes_for(&self, authorization: Option<&str>, scopes: Vec<String>) -> Option<Vec<String>> {
        let own = match self.shown(authorization) {
            Shown::Nothing => &[],
            Shown::Account(names) => names,
            Shown::Wrong => return None,
        };
        let names = |scope: &str| scope.split(':').nth(1).map(str::to_owned).unwrap_or_default();
        Some(scopes.into_iter().filter(|scope| self.may_read(own, &names(scope))).collect())
    }

    fn may_read(&self, own: &[String], name: &str) -> bool {
        self.public.iter().chain(own).any(|known| known == name)
    }
}

/// Tokens that were issued, by value. Shared by upstreams that stand beside each other.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    issued: Mutex<HashMap<String, IssuedToken>>,
}

#[derive(Debug)]
struct IssuedToken {
    scopes: Vec<String>,
    expires: Instant,
}

impl TokenTable {
    pub(crate) fn issue(&self, scopes: Vec<String>, lifetime: Duration) -> String {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("fake-token-{}", issued.len() + 1);
        issued.insert(token.clone(), IssuedToken { scopes, expires: Instant::now() + lifetime });
        token
    }

    /// Makes every token issued so far worthless.
    pub(crate) fn expire_all(&self) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        issued.values_mut().for_each(|token| token.expires = now);
    }

    fn honours(&self, token: &str, scope: Option<&str>, reach: TokenReach) -> bool {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(token).is_some_and(|known| {
            known.expires > Instant::now()
                && scope.is_none_or(|scope| known.scopes.iter().any(|held| covers(held, scope, reach)))
        })
    }
}

/// Whether a held scope (`repository:a/b:pull,push`) covers a wanted one (`repository:a/b:pull`).
fn covers(held: &str, wanted: &str, reach: TokenReach) -> bool {
    let (Some((held, actions)), Some((wanted, action))) = (held.rsplit_once(':'), wanted.rsplit_once(':')) else {
        return reach == TokenReach::Everything;
    };
    let project = |scope: &str| scope.split('/').next().unwrap_or_default().to_owned();
    let named = match reach {
        TokenReach::Repositories => held == wanted,
        TokenReach::Projects => project(held) == project(wanted),
        TokenReach::Everything => return true,
    };
    named && actions.split(',').any(|known| known == action)
}

/// The refusal that a request deserves, or `None` when it may pass.
pub(crate) fn refusal(
    access: &Access,
    tokens: &TokenTable,
    own_url: &str,
    authorization: Option<&str>,
    wanted: Option<(&str, Kind)>,
) -> Option<Refusal> {
    let refuses = |account: &Account| authorization != Some(account.basic().as_str());
    let repository = wanted.map(|(name, _)| name);
    match access {
        Access::Open => None,
        Access::Basic(account) => refuses(account).then(|| Refusal::Challenge(BASIC.to_owned())),
        Access::BasicAfter(account, challenge) => refuses(account).then(|| Refusal::Challenge((*challenge).to_owned())),
        Access::Bearer(rules) => by_token(rules, tokens, own_url, authorization, wanted).map(Refusal::Challenge),
        Access::Accounts(accounts) => match (accounts.login, accounts.shown(authorization), repository) {
            (Login::Bearer, _, _) => {
                by_token(&BearerRules::default(), tokens, own_url, authorization, wanted).map(Refusal::Challenge)
            }
            (Login::Basic(_), Shown::Nothing, Some(name)) if accounts.may_read(&[], name) => None,
            (Login::Basic(_), Shown::Nothing | Shown::Wrong, _) => Some(Refusal::Challenge(BASIC.to_owned())),
            (Login::Basic(_), Shown::Account(_), None) => None,
            (Login::Basic(status), Shown::Account(own), Some(name)) => {
                (!accounts.may_read(own, name)).then_some(Refusal::Status(status))
            }
        },
    }
}

const BASIC: &str = r#"Basic realm="fake upstream""#;

/// How a request is refused.
pub(crate) enum Refusal {
    /// 401 with this challenge.
    Challenge(String),
    /// Another status: the account is known, and not allowed.
    Status(u16),
}

fn by_token(
    rules: &BearerRules,
    tokens: &TokenTable,
    own_url: &str,
    authorization: Option<&str>,
    wanted: Option<(&str, Kind)>,
) -> Option<String> {
    let BearerManner { challenge, ping_challenge, reach, path, tags_action, .. } = &rules.manner;
    let scope = wanted.map(|(name, kind)| {
        let action = if kind == Kind::Tags { *tags_action } else { "pull" };
        format!("repository:{name}:{action}")
    });
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| tokens.honours(token, scope.as_deref(), *reach)) {
        return None;
    }
    let realm = rules.realm.clone().unwrap_or_else(|| format!("{own_url}{path}"));
    let template = if scope.is_some() { challenge } else { ping_challenge };
    let filled = template.replace("{realm}", &realm).replace("{service}", &rules.service);
    Some(filled.replace("{scope}", &scope.unwrap_or_default()))
}
