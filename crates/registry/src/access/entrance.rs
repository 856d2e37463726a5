//! Whether `GET /v2/` asks for a login, and whose.
//!
//! Some clients (docker, podman, skopeo) ask there once and believe the answer for every name. Must not know HTTP. Invariant: a login at the
//! entrance opens nothing by itself; each repository decides about each caller.

use std::sync::Arc;

use crate::repositories::{Repository, RepositoryMap, RouteQuery};

/// When `/v2/` asks for a login at an address that repositories share. One that a repository has for itself asks as that
/// repository needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntranceLogin {
    /// When every repository wants its callers' own accounts.
    #[default]
    Auto,
    /// When any does: clients without a login may then get nothing from the others either.
    Always,
    /// Never.
    Never,
}

/// Whose login `/v2/` asks for.
#[derive(Clone, Debug)]
pub enum EntranceAsks {
    /// An account at this upstream, which is asked whether it takes it.
    One(Arc<Repository>),
    /// An account at one of several upstreams: which one shows in what is pulled.
    Any,
    /// Nobody's.
    Nobody,
}

impl EntranceAsks {
    /// What the entrance asks for where a request came in.
    pub(crate) fn at(map: &RepositoryMap, query: &RouteQuery<'_>, rule: EntranceLogin) -> Self {
        if map.hosted().dedicated(query).is_some() || map.groups().dedicated(query).is_some() {
            return Self::Nobody;
        }
        if let Some(repo) = map.dedicated(query) {
            return if repo.is_passthrough() { Self::One(repo.clone()) } else { Self::Nobody };
        }
        let mut asking = map.iter().filter(|repo| repo.is_passthrough());
        let (first, others) = (asking.next(), asking.count());
        let all = map.hosted().is_empty() && map.groups().is_empty() && map.iter().all(|repo| repo.is_passthrough());
        match (rule, first) {
            (EntranceLogin::Never, _) | (EntranceLogin::Auto | EntranceLogin::Always, None) => Self::Nobody,
            (EntranceLogin::Auto, Some(_)) if !all => Self::Nobody,
            // Beside repositories that want no login, somebody else's account must not be held against a caller.
            (EntranceLogin::Auto | EntranceLogin::Always, Some(repo)) if others == 0 && all => Self::One(repo.clone()),
            (EntranceLogin::Auto | EntranceLogin::Always, Some(_)) => Self::Any,
        }
    }
}
