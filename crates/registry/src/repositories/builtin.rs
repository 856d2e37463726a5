//! Well-known upstreams, so that `transship serve` needs no configuration.
//!
//! Data only. Must not know how a registry is talked to. Invariant: each entry resolves without network access, and
//! an alias belongs to one upstream only (anchors: Docker Hub answers to four names).

use oci::RepoKey;
use serde_json::{Value, json};
use url::Url;

/// One well-known upstream: key, API address, further host names that mean the same registry.
pub(super) struct Builtin {
    pub(super) key: &'static str,
    pub(super) upstream: &'static str,
    pub(super) aliases: &'static [&'static str],
}

const fn known(key: &'static str, upstream: &'static str, aliases: &'static [&'static str]) -> Builtin {
    Builtin { key, upstream, aliases }
}

const DOCKER_HUB_HOSTS: &[&str] = &["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The table. Order is the order of `GET /api/repos` among built-in ones.
pub(super) const BUILTIN: &[Builtin] = &[
    known("dockerhub", "https://registry-1.docker.io", DOCKER_HUB_HOSTS),
    known("ghcr", "https://ghcr.io", &[]),
    known("quay", "https://quay.io", &[]),
    known("gcr", "https://gcr.io", &[]),
    known("k8s", "https://registry.k8s.io", &[]),
    known("mcr", "https://mcr.microsoft.com", &[]),
    known("ecr-public", "https://public.ecr.aws", &[]),
    known("gitlab", "https://registry.gitlab.com", &[]),
    known("nvcr", "https://nvcr.io", &[]),
    known("redhat", "https://registry.access.redhat.com", &[]),
    known("rancher", "https://registry.rancher.com", &[]),
    known("suse", "https://registry.suse.com", &[]),
    known("oracle", "https://container-registry.oracle.com", &[]),
    known("cloudflare", "https://registry.cloudflare.com", &[]),
];

/// The document of a built-in repository.
pub(super) fn document(entry: &Builtin) -> (RepoKey, Value) {
    let key = entry.key.parse().expect("built-in keys are well-formed; a test parses the table");
    (key, json!({ "kind": "proxy", "upstream": entry.upstream }))
}

/// Other host names of the registry behind `host`, itself included; empty when it has just the one.
pub(super) fn aliases_of(host: &str) -> &'static [&'static str] {
    BUILTIN.iter().find(|b| b.aliases.contains(&host)).map_or(&[], |b| b.aliases)
}

/// Whether the URL is Docker Hub under any of its names.
pub(super) fn is_docker_hub(url: &Url) -> bool {
    url.host_str().is_some_and(|host| DOCKER_HUB_HOSTS.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::{Provenance, RepositorySpec};

    #[test]
    fn every_entry_resolves_and_no_key_or_alias_stands_twice() {
        let mut seen = std::collections::HashSet::new();
        for entry in BUILTIN {
            let (key, document) = document(entry);
            let spec = RepositorySpec::from_document(key, &document, Provenance::File).unwrap();
            assert_eq!(spec.upstream.url.scheme(), "https");
            assert!(seen.insert(entry.key), "{} twice", entry.key);
            for alias in entry.aliases {
                assert!(seen.insert(alias), "{alias} twice");
            }
        }
    }

    #[test]
    fn only_docker_hub_puts_library_before_short_names() {
        for entry in BUILTIN {
            let (key, document) = document(entry);
            let spec = RepositorySpec::from_document(key, &document, Provenance::File).unwrap();
            assert_eq!(spec.upstream.library_prefix, entry.key == "dockerhub", "{}", entry.key);
        }
    }
}
