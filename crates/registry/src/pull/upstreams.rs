//! Puts a pull's questions to the upstreams of its repository.
//!
//! Must not know which upstream answers or why that one (that is `sources`). Invariant: whatever is asked for a route
//! goes through here, so that the rights and the trace of the request go along.

use client::{ClientError, RegistryClient};
use oci::{Digest, RepositoryName};

use crate::core::Core;
use crate::error::{PullError, Subject};
use crate::repositories::Route;
use crate::sources::{Answered, Asked, Failure, Role, StandIns, Upstream};
use crate::trace::upstream_fetch;

/// A question about tags or access: the named upstream answers, a mirror only while it fails. With a `digest`, bytes that
/// do not hash to it are no answer either.
pub(super) async fn ask_named<T, F, Fut>(
    core: &Core,
    route: &Route,
    what: &'static str,
    digest: Option<Digest>,
    put: F,
) -> Result<Answered<T>, Failure>
where
    F: Fn(RegistryClient, RepositoryName) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, ClientError>> + Send,
    T: Send,
{
    let asked = asked(route, digest);
    let put = |client, name| upstream_fetch(route.trace, route.repo.key(), what, put(client, name));
    let answered = route.repo.sources().ask_named(&asked, put).await?;
    if answered.by.role() == Role::Mirror {
        core.metrics.stood_in(route.repo.key(), answered.by.client().upstream());
    }
    Ok(answered)
}

/// A question about a digest that the repository is known to have: anybody may answer.
pub(super) async fn ask_any<T, F, Fut>(
    route: &Route,
    what: &'static str,
    digest: &Digest,
    put: F,
) -> Result<Answered<T>, Failure>
where
    F: Fn(RegistryClient, RepositoryName) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, ClientError>> + Send,
    T: Send,
{
    let asked = asked(route, Some(*digest));
    let put = |client, name| upstream_fetch(route.trace, route.repo.key(), what, put(client, name));
    route.repo.sources().ask_any(&asked, digest, put).await
}

/// A question to one upstream that has answered another already.
pub(super) async fn ask_one<T, F, Fut>(
    route: &Route,
    what: &'static str,
    upstream: &Upstream,
    put: F,
) -> Result<T, Failure>
where
    F: Fn(RegistryClient, RepositoryName) -> Fut,
    Fut: Future<Output = Result<T, ClientError>> + Send,
    T: Send,
{
    let (client, name) = match upstream.role() {
        Role::Named => (route.client().clone(), route.name.clone()),
        Role::Mirror => (upstream.client().clone(), upstream.canonical_name(route.name.clone())),
    };
    let asked = upstream_fetch(route.trace, route.repo.key(), what, put(client, name));
    upstream.timed(asked).await.map_err(|error| Failure { error, others: Vec::new() })
}

/// What to tell the caller when nobody answered.
pub(super) fn failed(route: &Route, subject: &Subject, failure: &Failure) -> PullError {
    route.error(subject, &failure.error).with_mirrors(&failure.others)
}

fn asked(route: &Route, digest: Option<Digest>) -> Asked<'_> {
    // A mirror does not know a caller's rights.
    let stand_ins = if route.admission.is_per_caller() { StandIns::Refused } else { StandIns::Allowed };
    Asked { named: route.client(), name: &route.name, stand_ins, digest }
}
