//! The decision about one caller: from what stands, or by asking upstream as the caller.
//!
//! Must not look at what is cached. Invariants: at most one question for each principal and name at a time; upstream's
//! refusals are told apart by nobody (403 and 404 cost the same questions and get the same answer), unless the caller
//! may list the name's tags; what upstream cannot decide is refused, never guessed.

use std::sync::Arc;

use client::{ClientError, RegistryClient};
use oci::{Digest, Reference, RepositoryName};

use super::admission::{Admission, Grant};
use super::caller::{CallerCredential, Principal};
use super::rules::DECIDED_WITHIN;
use super::table::{Access, Right, Standing};
use crate::error::{PullError, Subject, UpstreamSaid};
use crate::pull::Flight;
use crate::repositories::{Repository, Route};
use crate::trace::upstream_fetch;

/// What a caller wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Pull a manifest, by tag or digest.
    Manifest(Reference),
    /// Pull a blob, or a part of it.
    Blob(Digest),
    /// List the tags.
    Tags,
    /// List the manifests that name this one.
    Referrers(Digest),
}

impl Action {
    fn right(&self) -> Right {
        match self {
            Self::Manifest(_) | Self::Blob(_) | Self::Referrers(_) => Right::Pull,
            Self::Tags => Right::List,
        }
    }

    fn subject(&self, name: &RepositoryName) -> Subject {
        match self {
            Self::Manifest(reference) => Subject::Manifest(reference.to_string().into()),
            Self::Blob(digest) => Subject::Blob(*digest),
            Self::Referrers(digest) => Subject::Manifest(digest.to_string().into()),
            Self::Tags => Subject::Manifest(name.as_ref().into()),
        }
    }
}

/// How a decision came about, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A grant stood.
    Standing,
    /// Upstream gives this name to everybody.
    Public,
    /// Upstream was asked, and let the caller in.
    Granted,
    /// Upstream was asked, now or a moment ago, and refused.
    Refused,
    /// Upstream could not be asked; an ended grant stood in.
    Grace,
    /// Upstream could not be asked.
    Undecided,
}

impl Decision {
    /// The word in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Public => "public",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Grace => "grace",
            Self::Undecided => "undecided",
        }
    }
}

/// Questions under way, by principal, name and right; a second one for the same waits, and asks for itself only when
/// the first was refused something else.
pub(crate) struct AccessFlight;

impl Flight for AccessFlight {
    type Key = (Principal, RepositoryName, Right, Option<Action>);
    type Answer = ();
}

/// Decides whether `caller` may do `action` on `route`, before anything is looked up.
pub(crate) async fn authorize(
    route: &Route,
    caller: Option<&CallerCredential>,
    action: &Action,
) -> (Decision, Result<Admission, PullError>) {
    let Some(access) = route.repo.access() else { return (Decision::Standing, Ok(Admission::Open)) };
    let (name, right) = (&route.name, action.right());
    let principal = access.principal(caller);
    let client = access.client(principal, caller, route.repo.client());
    let admitted = || Admission::Granted(Grant { access: access.clone(), principal, right, client: client.clone() });
    match access.standing(principal, name, right) {
        Some(Standing::Public) => return (Decision::Public, Ok(admitted())),
        Some(Standing::Granted) => return (Decision::Standing, Ok(admitted())),
        None => {}
    }
    let probe = Probe { access: access.clone(), route: route.clone(), client: client.clone(), principal };
    let asked = tokio::time::timeout(DECIDED_WITHIN, probe.ask(action)).await;
    let asked = asked.unwrap_or_else(|_| Err(undecided(route, "it did not answer in time")));
    match asked {
        Ok(()) => (Decision::Granted, Ok(admitted())),
        Err(PullError::AccessUndecided { .. }) if access.is_in_grace(principal, name, right) => {
            tracing::warn!(repo_key = %route.repo.key(), %name, %principal, "upstream cannot be asked; an ended grant stands in");
            (Decision::Grace, Ok(admitted()))
        }
        Err(error @ PullError::AccessUndecided { .. }) => (Decision::Undecided, Err(error)),
        Err(error) => (Decision::Refused, Err(error)),
    }
}

/// Checks a login without a name: what `GET /v2/` of a repository's own host or listener asks.
pub(crate) async fn log_in(repo: &Repository, caller: Option<&CallerCredential>) -> Result<(), PullError> {
    let Some(access) = repo.access() else { return Ok(()) };
    let refused = || PullError::unauthorized(repo.key(), repo.upstream());
    let Some(caller) = caller else { return Err(refused()) };
    let principal = access.principal(Some(caller));
    if access.is_logged_in(principal) {
        return Ok(());
    }
    let client = access.client(principal, Some(caller), repo.client());
    match tokio::time::timeout(DECIDED_WITHIN, client.ping()).await {
        Ok(Ok(())) => {
            access.log_in(principal);
            Ok(())
        }
        Ok(Err(error)) if is_refusal(&error) => Err(refused()),
        Ok(Err(error)) => Err(outage(repo, repo.error(&Subject::Manifest("v2".into()), &error))),
        Err(_) => Err(PullError::AccessUndecided { said: said(repo, "it did not answer in time") }),
    }
}

/// One question, as one caller.
#[derive(Clone)]
struct Probe {
    access: Arc<Access>,
    route: Route,
    client: RegistryClient,
    principal: Principal,
}

impl Probe {
    async fn ask(&self, action: &Action) -> Result<(), PullError> {
        let (name, right) = (&self.route.name, action.right());
        if let Some(refused) = self.access.refusal(self.principal, name, action) {
            return Err(refused);
        }
        let first = self.join(None, action).await;
        match (&first, self.access.standing(self.principal, name, right)) {
            (Ok(()), _) | (Err(_), Some(_)) => Ok(()),
            // The question that was under way may have been about another reference.
            (Err(_), None) => match self.access.refusal(self.principal, name, action) {
                Some(refused) => Err(refused),
                None if matches!(first, Err(PullError::AccessUndecided { .. } | PullError::RateLimited { .. })) => {
                    first
                }
                None => self.join(Some(action.clone()), action).await,
            },
        }
    }

    async fn join(&self, about: Option<Action>, action: &Action) -> Result<(), PullError> {
        let key = (self.principal, self.route.name.clone(), action.right(), about);
        let (probe, action) = (self.clone(), action.clone());
        self.access.flights.join(key, || async move { probe.run(&action).await }).await
    }

    async fn run(&self, action: &Action) -> Result<(), PullError> {
        let (route, name) = (&self.route, &self.route.name);
        let asked = upstream_fetch(route.trace, route.repo.key(), "access", self.question(action)).await;
        let error = match asked {
            Ok(()) => {
                let token_ends = self.client.token_ends(name);
                self.access.grant(self.principal, name, action.right(), token_ends);
                tracing::info!(repo_key = %route.repo.key(), %name, principal = %self.principal, "access granted by upstream");
                return Ok(());
            }
            Err(error) if is_refusal(&error) => error,
            Err(error) => return Err(outage(&route.repo, route.repo.error(&action.subject(name), &error))),
        };
        self.access.withdraw(self.principal, name);
        let refused = self.refusal(action, &error).await;
        self.access.remember_refusal(self.principal, name, action, &refused);
        tracing::info!(repo_key = %route.repo.key(), %name, principal = %self.principal, status = error.upstream_status(), "access refused by upstream");
        Err(refused)
    }

    async fn question(&self, action: &Action) -> Result<(), ClientError> {
        let name = &self.route.name;
        match action {
            Action::Manifest(reference) => match self.client.head_manifest(name, reference).await {
                // Some registries have no HEAD.
                Err(error) if matches!(error.upstream_status(), Some(405 | 501)) => {
                    self.client.get_manifest(name, reference, None).await.map(drop)
                }
                answer => answer.map(drop),
            },
            Action::Referrers(subject) => self.client.head_manifest(name, &Reference::Digest(*subject)).await.map(drop),
            Action::Blob(digest) => self.client.head_blob(name, digest).await.map(drop),
            Action::Tags => self.client.list_tags(name, Some(1), None).await.map(drop),
        }
    }

    /// The answer to a refused caller. Only one who may list the tags of the name hears that a reference is not there:
    /// for everybody else, what is forbidden and what does not exist are the same. The second question is asked in
    /// either case, so that the two take equally long.
    async fn refusal(&self, action: &Action, error: &ClientError) -> PullError {
        let repo = &self.route.repo;
        let unauthorized = || PullError::unauthorized(repo.key(), repo.upstream());
        if action.right() == Right::List {
            return unauthorized();
        }
        let listed = self.client.list_tags(&self.route.name, Some(1), None).await;
        match (listed, error) {
            (Ok(_), ClientError::NotFound { .. }) => repo.error(&action.subject(&self.route.name), error),
            (Ok(_) | Err(_), _) => unauthorized(),
        }
    }
}

/// Whether upstream itself said no, in one of its three ways.
fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Unauthorized { .. } | ClientError::Denied { .. } | ClientError::NotFound { .. })
}

/// An upstream that gives no decision: everything but a limit on the caller's requests, or a rule of ours that stopped
/// the exchange, which have answers of their own.
fn outage(repo: &Repository, error: PullError) -> PullError {
    match error {
        PullError::RateLimited { .. } | PullError::EgressRefused { .. } => error,
        other => match other.said() {
            Some(said) => PullError::AccessUndecided { said: said.clone() },
            None => PullError::AccessUndecided { said: said(repo, other.to_string()) },
        },
    }
}

fn undecided(route: &Route, why: &str) -> PullError {
    PullError::AccessUndecided { said: said(&route.repo, why) }
}

fn said(repo: &Repository, message: impl Into<Arc<str>>) -> UpstreamSaid {
    UpstreamSaid {
        repo_key: repo.key().clone(),
        upstream: repo.upstream().clone(),
        status: None,
        message: message.into(),
    }
}
