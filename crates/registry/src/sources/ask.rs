//! Asks the upstreams of a repository one after the other, by the rule that fits the question.
//!
//! Must not know what is asked. Invariants: a refusal of the named upstream ends it; a mirror's refusal never reaches a
//! client; every upstream that failed is named in the error.

use std::sync::Arc;

use client::{ClientError, RegistryClient};
use oci::{Digest, RepositoryName};

use super::{Role, Sources, Upstream};

/// Whether mirrors may answer for the named upstream while that one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandIns {
    /// They may: the operator configured them as equals.
    Allowed,
    /// They may not: the answer depends on who asks, and only the named upstream knows the caller.
    Refused,
}

/// How one question is put.
pub(crate) struct Asked<'a> {
    /// The client of the named upstream: the repository's own, or one with the caller's login.
    pub(crate) named: &'a RegistryClient,
    /// The name at the named upstream.
    pub(crate) name: &'a RepositoryName,
    /// Who may answer in its place.
    pub(crate) stand_ins: StandIns,
    /// The digest that the answer's bytes must have, when the question says one.
    pub(crate) digest: Option<Digest>,
}

/// An answer and whose it is.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    /// What was answered.
    pub(crate) value: T,
    /// Who answered.
    pub(crate) by: Arc<Upstream>,
    /// How the named upstream failed, when a mirror stands in.
    pub(crate) instead_of: Option<ClientError>,
}

/// Why nobody answered.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the named upstream said, or whoever stands in its place when that one was not asked.
    pub(crate) error: ClientError,
    /// The mirrors that failed too, with the reason.
    pub(crate) others: Vec<String>,
}

/// Whether `error` is a failure of the moment and no answer: another may be asked in its place.
pub(crate) fn stands_in(error: &ClientError) -> bool {
    error.is_temporary()
}

/// Whether `error` is a failure of the upstream; our own limits say nothing of it.
pub(crate) fn is_its_fault(error: &ClientError) -> bool {
    stands_in(error) && !matches!(error, ClientError::OwnLimit { .. })
}

impl Sources {
    /// Asks the named upstream; when it fails for the moment, the mirrors in the order they are written. For tags and for
    /// access.
    pub(crate) async fn ask_named<T, F, Fut>(&self, asked: &Asked<'_>, put: F) -> Result<Answered<T>, Failure>
    where
        F: Fn(RegistryClient, RepositoryName) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let named = self.named();
        let error = match named.timed(put(asked.named.clone(), asked.name.clone())).await {
            Ok(value) => return Ok(Answered { value, by: named.clone(), instead_of: None }),
            Err(error) => error,
        };
        self.note_lie(asked, named, &error);
        // Wrong bytes under a digest mean that it has the content, only not as it should be.
        let lied = asked.digest.is_some() && matches!(error, ClientError::DigestMismatch { .. });
        let mut others = Vec::new();
        if asked.stand_ins == StandIns::Allowed && (stands_in(&error) || lied) {
            for mirror in self.iter().skip(1) {
                match mirror.timed(put(mirror.client().clone(), mirror.canonical_name(asked.name.clone()))).await {
                    Ok(value) => {
                        tracing::info!(upstream = %named.address(), %error, mirror = %mirror.address(), "a mirror answers for its upstream");
                        return Ok(Answered { value, by: mirror.clone(), instead_of: Some(error) });
                    }
                    Err(error) => {
                        self.note_lie(asked, mirror, &error);
                        others.push(told(mirror, &error));
                    }
                }
            }
        }
        Err(Failure { error, others })
    }

    fn note_lie(&self, asked: &Asked<'_>, upstream: &Upstream, error: &ClientError) {
        if let (Some(digest), ClientError::DigestMismatch { .. }, true) = (&asked.digest, error, self.are_several()) {
            self.suspect(digest, [upstream.index()]);
        }
    }

    /// Asks any of them for something that the repository is known to have: all answers are equal.
    pub(crate) async fn ask_any<T, F, Fut>(
        &self,
        asked: &Asked<'_>,
        digest: &Digest,
        put: F,
    ) -> Result<Answered<T>, Failure>
    where
        F: Fn(RegistryClient, RepositoryName) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut failed = Failures::default();
        for upstream in self.for_digest(digest) {
            let (client, name) = match upstream.role() {
                Role::Named => (asked.named.clone(), asked.name.clone()),
                Role::Mirror => (upstream.client().clone(), upstream.canonical_name(asked.name.clone())),
            };
            let error = match upstream.timed(put(client, name)).await {
                Ok(value) => return Ok(Answered { value, by: upstream, instead_of: None }),
                Err(error) => error,
            };
            self.note_lie(asked, &upstream, &error);
            if upstream.role() == Role::Named && is_denial(&error) {
                return Err(Failure { error, others: Vec::new() });
            }
            failed.note(&upstream, error);
        }
        Err(failed.all_failed(asked.named))
    }
}

/// Those that were asked and failed.
#[derive(Default)]
pub(crate) struct Failures {
    of_named: Option<ClientError>,
    of_mirrors: Vec<(String, ClientError)>,
}

impl Failures {
    /// Notes that `upstream` failed.
    pub(crate) fn note(&mut self, upstream: &Upstream, error: ClientError) {
        match upstream.role() {
            Role::Named => self.of_named = Some(error),
            Role::Mirror => self.of_mirrors.push((told(upstream, &error), error)),
        }
    }

    /// What to say when there is nobody left: the named upstream's words, if it was asked.
    pub(crate) fn all_failed(self, named: &RegistryClient) -> Failure {
        let others = self.of_mirrors.iter().map(|(told, _)| told.clone()).collect();
        let first =
            self.of_named.or_else(|| self.of_mirrors.into_iter().next().map(|(_, error)| mirrors_only(error, named)));
        let nobody =
            || ClientError::Protocol { upstream: named.upstream().clone(), what: "there is nobody to ask".into() };
        Failure { error: first.unwrap_or_else(nobody), others }
    }
}

/// A mirror's "no" is not the named upstream's.
fn mirrors_only(error: ClientError, named: &RegistryClient) -> ClientError {
    match error {
        ClientError::NotFound { .. } | ClientError::Unauthorized { .. } | ClientError::Denied { .. } => {
            ClientError::Protocol {
                upstream: named.upstream().clone(),
                what: format!("only mirrors could be asked: {error}"),
            }
        }
        other => other,
    }
}

/// Whether the upstream knows us, or wants to, and says no.
pub(crate) fn is_denial(error: &ClientError) -> bool {
    matches!(error, ClientError::Unauthorized { .. } | ClientError::Denied { .. })
}

fn told(upstream: &Upstream, error: &ClientError) -> String {
    format!("{}: {error}", upstream.address())
}
