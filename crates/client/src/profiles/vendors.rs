//! The registries of vendors and projects: Kubernetes, Red Hat, SUSE, Rancher, NVIDIA, Oracle.
//!
//! Data only. Invariant: what is said here is said in `source`, or the profile is `Unverified`.

use super::profile::{
    AuthFlow, Blobs, Limits, Names, Profile, RateLimitHeaders, Redirects, Standing, TokenServer, Verified,
};

const BASE: Profile = Profile::base("", "", "");

pub(super) const KUBERNETES: Profile = Profile {
    url: Some("https://registry.k8s.io"),
    aliases: &["registry.k8s.io"],
    standing: Standing::BuiltIn,
    token: TokenServer { flow: AuthFlow::Open, realm: "none", lifetime: "", login: "none", ..BASE.token },
    names: Names { library_prefix: false, form: "any depth" },
    blobs: Blobs {
        redirect: Some(307),
        hosts: &["*-docker.pkg.dev", "prod-registry-k8s-io-*.s3.*.amazonaws.com"],
        ..BASE.blobs
    },
    redirects: Redirects::ToRegistries,
    limits: Limits { headers: RateLimitHeaders::None, text: "fair use" },
    notes: &[
        "Manifests and tag lists are redirected too, to a registry near the caller. What that one says counts as the word of \
         registry.k8s.io, and its challenge is answered without a credential.",
    ],
    verified: Verified::Documented,
    source: &["https://github.com/kubernetes/registry.k8s.io/blob/main/cmd/archeio/docs/request-handling.md"],
    ..Profile::base("k8s", "Kubernetes (registry.k8s.io)", "upstream: https://registry.k8s.io")
};

pub(super) const RED_HAT: Profile = Profile {
    url: Some("https://registry.access.redhat.com"),
    aliases: &["registry.access.redhat.com"],
    standing: Standing::BuiltIn,
    token: TokenServer { flow: AuthFlow::Open, realm: "none", lifetime: "", login: "none", ..BASE.token },
    names: Names { library_prefix: false, form: "`product/name`" },
    blobs: Blobs { redirect: Some(302), hosts: &["cdn*.quay.io"], ..BASE.blobs },
    verified: Verified::Documented,
    source: &["https://access.redhat.com/RegistryAuthentication", "https://github.com/quay/claircore/pull/879"],
    ..Profile::base(
        "redhat",
        "Red Hat, open (registry.access.redhat.com)",
        "upstream: https://registry.access.redhat.com",
    )
};

pub(super) const RED_HAT_LOGIN: Profile = Profile {
    url: Some("https://registry.redhat.io"),
    aliases: &["registry.redhat.io"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://registry.redhat.io/auth/realms/rhcc/protocol/redhat-docker-v2/auth",
        lifetime: "as the token server says",
        login: "registry service account (`1234567|name`) with its token, or the customer portal's login",
    },
    names: Names { library_prefix: false, form: "`product/name`" },
    blobs: Blobs { redirect: Some(302), hosts: &["cdn*.quay.io"], ..BASE.blobs },
    notes: &["Its token server refuses everybody who does not log in."],
    verified: Verified::Documented,
    source: &[
        "https://access.redhat.com/RegistryAuthentication",
        "https://github.com/aboutbits/postgresql-operator/pull/9",
    ],
    ..Profile::base(
        "redhat-io",
        "Red Hat, with login (registry.redhat.io)",
        "upstream: https://registry.redhat.io\nauth:\n  username: 1234567|transship\n  password: ${REDHAT_TOKEN}",
    )
};

const SCC_REALM: &str = "https://scc.suse.com/api/registry/authorize";
const SCC_LOGIN: &str = "none for most images; SUSE Customer Center system or registration credentials for the others";

pub(super) const SUSE: Profile = Profile {
    url: Some("https://registry.suse.com"),
    aliases: &["registry.suse.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &["scc.suse.com"],
        realm: SCC_REALM,
        lifetime: "as the token server says",
        login: SCC_LOGIN,
    },
    names: Names { library_prefix: false, form: "any depth" },
    notes: &["The service of its challenge holds spaces: `SUSE Linux Docker Registry`."],
    verified: Verified::Documented,
    source: &["https://github.com/SUSE/BCI-dockerfile-generator/pull/1075", SCC_REALM],
    ..Profile::base(
        "suse",
        "SUSE",
        "upstream: https://registry.suse.com\nauth:\n  username: SCC_1234567890\n  password: ${SCC_PASSWORD}",
    )
};

pub(super) const RANCHER: Profile = Profile {
    url: Some("https://registry.rancher.com"),
    aliases: &["registry.rancher.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &["scc.suse.com"],
        realm: SCC_REALM,
        lifetime: "as the token server says",
        login: SCC_LOGIN,
    },
    names: Names { library_prefix: false, form: "`rancher/name`" },
    notes: &["Not `docker.io/rancher`, which is Docker Hub (see there). Redirects and limits are not known."],
    verified: Verified::Unverified,
    source: &[
        "programs that ask it for tags name the same token server as for registry.suse.com; its answers were not seen",
    ],
    ..Profile::base("rancher", "Rancher (registry.rancher.com)", "upstream: https://registry.rancher.com")
};

pub(super) const NVIDIA: Profile = Profile {
    url: Some("https://nvcr.io"),
    aliases: &["nvcr.io"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://nvcr.io/proxy_auth",
        lifetime: "600 s",
        login: "`$oauthtoken` with an NGC API key",
    },
    names: Names { library_prefix: false, form: "`organization/name` or `organization/team/name`" },
    notes: &[
        "Its challenge names no service.",
        "A token that has run out is answered with another realm (authn.nvidia.com) that gives nothing to the anonymous; \
         tokens are renewed before that, and a realm on another host never gets the credential.",
    ],
    verified: Verified::Documented,
    source: &[
        "https://github.com/sapcc/keppel/pull/731",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/1945",
    ],
    ..Profile::base(
        "nvcr",
        "NVIDIA NGC",
        "upstream: https://nvcr.io\nauth:\n  username: $oauthtoken\n  password: ${NGC_API_KEY}",
    )
};

pub(super) const ORACLE: Profile = Profile {
    url: Some("https://container-registry.oracle.com"),
    aliases: &["container-registry.oracle.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://container-registry.oracle.com/auth",
        lifetime: "as the token server says",
        login: "Oracle account with an auth token of the registry's web site; some images after accepting their licence there",
    },
    names: Names { library_prefix: false, form: "`area/name`" },
    notes: &[
        "The service of its challenge is `Oracle Registry`. It has been seen to send callers on to regional hosts.",
    ],
    verified: Verified::Documented,
    source: &["https://docs.oracle.com/en/operating-systems/oracle-linux/docker/docker-registry.html"],
    ..Profile::base(
        "oracle",
        "Oracle Container Registry",
        "upstream: https://container-registry.oracle.com\nauth:\n  username: me@example.com\n  password: ${ORACLE_AUTH_TOKEN}",
    )
};
