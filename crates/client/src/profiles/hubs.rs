//! The registries that most images come from: Docker Hub, GHCR, Quay.io, GitLab.
//!
//! Data only. Invariant: what is said here is said in `source`, or the profile is `Unverified`.

use super::profile::{
    AuthFlow, Blobs, HeadOnRedirect, Limits, Missing, Names, Profile, RateLimitHeaders, Referrers, Standing,
    TokenServer, Verified,
};

const PULL_LIMITS: &str = "https://docs.docker.com/docker-hub/usage/pulls/";

pub(super) const DOCKER_HUB: Profile = Profile {
    url: Some("https://registry-1.docker.io"),
    aliases: &["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &["auth.docker.io"],
        realm: "https://auth.docker.io/token",
        lifetime: "300 s",
        login: "account and password, or better a personal or organization access token",
    },
    names: Names { library_prefix: true, form: "`owner/name`; `name` alone means `library/name`" },
    blobs: Blobs {
        redirect: Some(307),
        hosts: &["production.cloudflare.docker.com", "*.r2.cloudflarestorage.com"],
        head: HeadOnRedirect::Forbidden,
        ..BASE.blobs
    },
    referrers: Referrers::Partial,
    limits: Limits {
        headers: RateLimitHeaders::DockerHub,
        text: "pulls without login: 100 in 6 h for an IPv4 address or IPv6 /64; with a personal account 200 in 6 h; paid \
               plans unlimited. A pull is a GET of a manifest; HEAD is free. Apart from that an abuse limit (thousands of \
               requests a minute from one address, of any kind) answers a bare 429, to paid accounts as well",
    },
    missing: Missing { statuses: &[401], ..BASE.missing },
    notes: &[
        "All four names are one registry: images are stored once.",
        "Images of `docker.io/rancher` are ordinary images of Docker Hub.",
    ],
    verified: Verified::Documented,
    source: &[PULL_LIMITS, "https://distribution.github.io/distribution/spec/auth/token/"],
    ..BASE_HUB
};

const BASE: Profile = Profile::base("", "", "");
const BASE_HUB: Profile = Profile::base(
    "dockerhub",
    "Docker Hub",
    "upstream: https://registry-1.docker.io\nauth:\n  username: my-account\n  password: ${DOCKERHUB_TOKEN}",
);

pub(super) const GHCR: Profile = Profile {
    url: Some("https://ghcr.io"),
    aliases: &["ghcr.io"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://ghcr.io/token",
        lifetime: "300 s",
        login: "any user name with a classic token that has `read:packages`, or a workflow's `GITHUB_TOKEN`",
    },
    names: Names { library_prefix: false, form: "`owner/name`, lower case, any depth" },
    blobs: Blobs {
        redirect: Some(307),
        hosts: &["pkg-containers.githubusercontent.com"],
        signed_for: "about 300 s",
        head: HeadOnRedirect::Forbidden,
        ..BASE.blobs
    },
    referrers: Referrers::Harmful,
    limits: Limits { headers: RateLimitHeaders::None, text: "not published" },
    missing: Missing { statuses: &[401, 403], ..BASE.missing },
    notes: &[
        "`/v2/` challenges with a placeholder scope; only the challenge of the request itself counts.",
        "The referrers endpoint answers 303 to the web site with a shortened digest and hard 429s; it is never asked.",
    ],
    verified: Verified::Documented,
    source: &[
        "https://docs.github.com/packages/working-with-a-github-packages-registry/working-with-the-container-registry",
        "https://github.com/linkerd/linkerd2/issues/5959",
        "https://github.com/containerd/stargz-snapshotter/pull/167",
    ],
    ..Profile::base(
        "ghcr",
        "GitHub Container Registry",
        "upstream: https://ghcr.io\nauth:\n  username: my-account\n  password: ${GHCR_TOKEN}",
    )
};

pub(super) const QUAY: Profile = Profile {
    url: Some("https://quay.io"),
    aliases: &["quay.io"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://quay.io/v2/auth",
        lifetime: "as the token server says",
        login: "robot account `organization+robot` with its token",
    },
    names: Names { library_prefix: false, form: "`organization/name`" },
    blobs: Blobs { redirect: Some(302), hosts: &["cdn*.quay.io", "*.s3.amazonaws.com"], ..BASE.blobs },
    referrers: Referrers::Native,
    limits: Limits { headers: RateLimitHeaders::None, text: "429 under load; no numbers published" },
    missing: Missing { statuses: &[401], ..BASE.missing },
    notes: &[
        "Anything unknown is answered 401, as if it were private.",
        "The challenge may name no scope; then `repository:<name>:pull` is asked for.",
        "Tag lists are paged by a parameter of Quay's own; `last` is taken as well.",
    ],
    verified: Verified::Documented,
    source: &["https://github.com/quay/claircore/pull/879", "https://github.com/OctopusDeploy/Issues/issues/5076"],
    ..Profile::base(
        "quay",
        "Quay.io",
        "upstream: https://quay.io\nauth:\n  username: my-org+robot\n  password: ${QUAY_TOKEN}",
    )
};

pub(super) const GITLAB: Profile = Profile {
    url: Some("https://registry.gitlab.com"),
    aliases: &["registry.gitlab.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &["gitlab.com"],
        realm: "https://gitlab.com/jwt/auth",
        lifetime: "5 to 15 min: shorter than a slow pull, so it is renewed in the middle of an image",
        login: "deploy token of the project or group, or an access token with `read_registry`",
    },
    names: Names { library_prefix: false, form: "`group/subgroup/…/project/name`, any depth" },
    blobs: Blobs {
        redirect: Some(307),
        hosts: &["cdn.registry.gitlab-static.net", "storage.googleapis.com"],
        ..BASE.blobs
    },
    referrers: Referrers::Absent,
    limits: Limits { headers: RateLimitHeaders::None, text: "the application's rate limits" },
    notes: &["A self-managed GitLab has registry and web on two hosts as well: list the web host in `token_hosts`."],
    verified: Verified::Documented,
    source: &["https://docs.gitlab.com/administration/packages/container_registry/"],
    ..Profile::base(
        "gitlab",
        "GitLab Container Registry",
        "upstream: https://registry.gitlab.com\nauth:\n  username: gitlab+deploy-token-1\n  password: ${GITLAB_DEPLOY_TOKEN}",
    )
};
