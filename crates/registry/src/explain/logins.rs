//! The token requests that a pull would make before its own.
//!
//! Must not make them. Invariant: a token that is at hand is not asked for, and no credential is shown but by name.

use std::sync::Arc;

use client::Login;
use client::profiles::AuthFlow;
use url::Url;

use super::answer::ExplainedStep;
use crate::repositories::Route;
use crate::sources::{Role, Upstream};

/// The token request for an upstream that is asked, if one is needed.
pub(super) fn step(route: &Route, upstream: &Arc<Upstream>) -> Option<ExplainedStep> {
    let name = upstream.canonical_name(route.name.clone());
    let client = upstream.client();
    let of_caller = route.repo.is_passthrough() && upstream.role() == Role::Named;
    let as_whom = match client.credential_for(&name) {
        _ if of_caller => "with the caller's account".to_owned(),
        Some(label) => format!("with the credential '{}'", label.name),
        None => "anonymously".to_owned(),
    };
    match client.login_for(&name) {
        Login::Configured | Login::Token { lives: Some(_), .. } => None,
        Login::Token { realm, service, scopes, lives: None } => {
            let service = service.iter().map(|service| format!("service={service}"));
            let query: Vec<String> = service.chain(scopes.iter().map(|scope| format!("scope={scope}"))).collect();
            let separator = if query.is_empty() { "" } else { "?" };
            Some(ExplainedStep {
                at: vec![host(&realm)],
                why: format!("a token for {}, {as_whom}: the last one has ended", client.upstream()),
                ..ExplainedStep::new(format!("GET {realm}{separator}{}", query.join("&")))
            })
        }
        Login::NotAskedFor => expected(upstream, &as_whom),
    }
}

/// What the registry's profile lets expect, before it has been asked for this name.
fn expected(upstream: &Upstream, as_whom: &str) -> Option<ExplainedStep> {
    let token = upstream.client().profile().token;
    let realm = token.realm;
    (token.flow == AuthFlow::Bearer && realm.starts_with("https://")).then(|| ExplainedStep {
        at: vec![host(realm)],
        why: format!(
            "a token for {}, {as_whom}: it has not been asked for this name yet, and answers with a challenge that leads \
             there; a token lasts {}",
            upstream.client().upstream(),
            token.lifetime
        ),
        ..ExplainedStep::new(format!("GET {realm}"))
    })
}

fn host(url: &str) -> String {
    Url::parse(url).map(|url| crate::sources::host_of(&url)).unwrap_or_default()
}
