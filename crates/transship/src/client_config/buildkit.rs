//! `buildkitd.toml`: BuildKit, docker buildx.
//!
//! BuildKit adds no `?ns=`: the registry stands as the first segment behind the mirror. Must not know other clients.
//! Invariant: a mirror is `host[:port]/path` without a scheme; whether it is plain HTTP stands beside it.

use std::fmt::Write as _;

use super::{Setup, SetupFile, Wanted};

pub(super) fn buildkitd(wanted: &Wanted) -> Setup {
    let authority = wanted.authority();
    let mut text = String::new();
    for registry in &wanted.registries {
        let _ = write!(text, "[registry.\"{registry}\"]\n  mirrors = [\"{authority}/{registry}\"]\n\n");
    }
    if wanted.is_plain() {
        let _ = write!(text, "[registry.\"{authority}\"]\n  http = true\n");
    } else if let Some(ca) = &wanted.ca {
        let _ = write!(text, "[registry.\"{authority}\"]\n  ca = [\"{}\"]\n", ca.display());
    }
    Setup {
        files: vec![SetupFile { path: "/etc/buildkit/buildkitd.toml".into(), text }],
        notes: vec![
            "For docker buildx: docker buildx create --use --buildkitd-config /etc/buildkit/buildkitd.toml".into(),
            "The builder runs in a container: 127.0.0.1 is that container, unless it is created with --driver-opt network=host.".into(),
            "BuildKit goes to the registry itself when the mirror does not answer; it has no switch against that.".into(),
        ],
    }
}
