//! What is known of each registry, as data: hosts, token servers, names, redirects, limits, referrers.
//!
//! One table (`ALL`), read by the client where its behaviour depends on it, by `registry` for the built-in repositories,
//! and by `docs/upstreams.md`, which is generated from it. Must not know requests. Invariants: a host belongs to one
//! profile; a fact whose source we could not read is marked `Unverified`, not left out.

mod clouds;
mod hubs;
mod pattern;
mod profile;
mod reference;
mod self_hosted;
mod vendors;

use url::Url;

pub use pattern::HostPattern;
pub use profile::{
    AuthFlow, Blobs, DeniedTag, HeadOnRedirect, Limits, Missing, MultiRange, Names, Profile, RateLimitHeaders,
    Redirects, Referrers, Standing, Tags, TokenServer, Verified,
};
pub use reference::markdown;

/// Every profile, in the order of the documentation. The last one is `custom`.
pub const ALL: &[&Profile] = &[
    &hubs::DOCKER_HUB,
    &hubs::GHCR,
    &hubs::QUAY,
    &hubs::GITLAB,
    &clouds::ECR,
    &clouds::ECR_PUBLIC,
    &clouds::GCR,
    &clouds::ARTIFACT_REGISTRY,
    &clouds::ACR,
    &clouds::MCR,
    &clouds::OCIR,
    &clouds::IBM,
    &clouds::CLOUDFLARE,
    &vendors::KUBERNETES,
    &vendors::RED_HAT,
    &vendors::RED_HAT_LOGIN,
    &vendors::SUSE,
    &vendors::RANCHER,
    &vendors::NVIDIA,
    &vendors::ORACLE,
    &self_hosted::JFROG_CLOUD,
    &self_hosted::ARTIFACTORY,
    &self_hosted::NEXUS,
    &self_hosted::HARBOR,
    &self_hosted::DISTRIBUTION,
    &CUSTOM,
];

/// A registry we know nothing special of: the distribution spec, and the challenge it sends.
pub const CUSTOM: Profile = Profile::base(
    "custom",
    "Any other registry",
    "upstream: https://registry.example.com\nauth:\n  username: ci\n  password: ${REGISTRY_PASSWORD}",
);

/// The profile with this key.
pub fn by_key(key: &str) -> Option<&'static Profile> {
    ALL.iter().copied().find(|profile| profile.key == key)
}

/// The profile of the registry at `host[:port]`; `CUSTOM` when no profile knows it.
pub fn of_host(host: &str) -> &'static Profile {
    ALL.iter().copied().find(|profile| profile.knows_host(host)).unwrap_or(&CUSTOM)
}

/// The profile of the registry at this URL: by host, for the https port only; `CUSTOM` when no profile knows it.
pub fn of_url(url: &Url) -> &'static Profile {
    let standard = url.scheme() == "https" && url.port().is_none();
    url.host_str().filter(|_| standard).map_or(&CUSTOM, of_host)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hosts_find_their_profile() {
        let cases = [
            ("docker.io", "dockerhub"),
            ("index.docker.io", "dockerhub"),
            ("registry-1.docker.io", "dockerhub"),
            ("registry.hub.docker.com", "dockerhub"),
            ("ghcr.io", "ghcr"),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
            ("public.ecr.aws", "ecr-public"),
            ("gcr.io", "gcr"),
            ("eu.gcr.io", "gcr"),
            ("europe-west3-docker.pkg.dev", "gar"),
            ("contoso.azurecr.io", "acr"),
            ("fra.ocir.io", "ocir"),
            ("uk-london-1.ocir.io", "ocir"),
            ("de.icr.io", "ibm"),
            ("registry.redhat.io", "redhat-io"),
            ("registry.access.redhat.com", "redhat"),
            ("acme.jfrog.io", "jfrog"),
            ("acme-docker-local.jfrog.io", "jfrog"),
            ("registry.example.com", "custom"),
            ("evil-gcr.io", "custom"),
            ("gcr.io.evil.example", "custom"),
            ("a.b.azurecr.io", "custom"),
            ("azurecr.io", "custom"),
            (".azurecr.io", "custom"),
            ("ghcr.io:8443", "custom"),
        ];
        for (host, key) in cases {
            assert_eq!(of_host(host).key, key, "{host}");
        }
        let of = |url: &str| of_url(&url.parse().unwrap()).key;
        assert_eq!(of("https://ghcr.io/v2/"), "ghcr");
        assert_eq!(of("https://ghcr.io:443"), "ghcr");
        assert_eq!(of("http://ghcr.io"), "custom", "plain http is somebody else");
        assert_eq!(of("https://ghcr.io:8443"), "custom");
    }

    #[test]
    fn keys_and_hosts_stand_once_and_fixed_addresses_belong_to_their_profile() {
        let mut seen = HashSet::new();
        for profile in ALL {
            assert!(seen.insert(profile.key.to_owned()), "{} twice", profile.key);
            assert_eq!(by_key(profile.key).map(|found| found.title), Some(profile.title));
            let patterns = profile.hosts.iter().map(|host| host.as_str());
            for host in profile.aliases.iter().copied().chain(patterns) {
                assert!(seen.insert(host.to_owned()), "{host} twice");
            }
            if let Some(url) = profile.url {
                assert_eq!(of_url(&url.parse().unwrap()).key, profile.key, "{url}");
            }
            assert_eq!(profile.url.is_some(), !profile.aliases.is_empty(), "{}", profile.key);
            assert!(profile.standing == Standing::Configured || profile.url.is_some(), "{}", profile.key);
        }
        assert_eq!(ALL.last().map(|profile| profile.key), Some("custom"));
    }

    #[test]
    fn what_is_not_unverified_names_its_source() {
        for profile in ALL {
            match profile.verified {
                Verified::Unverified => {}
                Verified::Verified | Verified::Documented => {
                    assert!(!profile.source.is_empty(), "{} claims without a source", profile.key);
                }
            }
        }
    }
}
