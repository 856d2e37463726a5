//! One recipe for each registry.
//!
//! Data only; the sources are those of docs/upstreams.md. Private images everywhere a registry has them: a pull without a
//! login has to fail. Guessed: the error bodies where the status alone is known, and all of Rancher's answers but its token
//! server.

use super::recipe::{BlobsAt, Login, ManifestsAt, Place, Recipe, TokenServer};
use crate::upstream::{Absence, Kind, Nobody, TokenReach};

/// `realm`, `service` and `scope`, as most write it.
const FULL: &str = r#"Bearer realm="{realm}",service="{service}",scope="{scope}""#;
const SHORT: &str = r#"Bearer realm="{realm}",service="{service}""#;

const PLAIN: Recipe = Recipe {
    key: "custom",
    repository: "team/app",
    asked_as: "team/app",
    login: Login::Bearer(SERVER),
    manifests: ManifestsAt::Registry,
    blobs: BlobsAt::Registry,
    headers: &[],
    absence: None,
};

const SERVER: TokenServer = TokenServer {
    path: "/token",
    place: Place::Here,
    challenge: FULL,
    ping_challenge: SHORT,
    service: "registry",
    username: "ci",
    field: Some("token"),
    expires_in: Some(300),
    reach: TokenReach::Repositories,
    tags_action: "pull",
    nobody: Nobody::Worthless,
    exchange: None,
};

const fn named(key: &'static str, repository: &'static str) -> Recipe {
    Recipe { key, repository, asked_as: repository, ..PLAIN }
}

/// Answers that hide whether there is such a repository.
const fn hidden(status: u16, code: &'static str, message: &'static str) -> Absence {
    Absence { kinds: &[Kind::Manifest, Kind::Tags], status, code, message }
}

const GOOGLE: TokenServer =
    TokenServer { path: "/v2/token", field: None, expires_in: Some(3600), username: "oauth2accesstoken", ..SERVER };

const SUSE: TokenServer = TokenServer {
    path: "/api/registry/authorize",
    place: Place::Elsewhere,
    service: "SUSE Linux Docker Registry",
    username: "SCC_1234",
    ..SERVER
};

const JFROG: Recipe = Recipe {
    login: Login::Bearer(TokenServer {
        path: "/artifactory/api/docker/null/v2/token",
        service: "artifactory.example",
        nobody: Nobody::Refused,
        expires_in: Some(3600),
        ..SERVER
    }),
    blobs: BlobsAt::Signed(302),
    absence: Some(Absence {
        kinds: &[Kind::Manifest],
        status: 403,
        code: "DENIED",
        message: "The requested resource is forbidden in one of the members",
    }),
    ..named("jfrog", "docker-virtual/team/app")
};

/// Every fake.
pub const ALL: &[Recipe] = &[
    Recipe {
        login: Login::Bearer(TokenServer {
            place: Place::Elsewhere,
            service: "registry.docker.io",
            username: "my-account",
            field: None,
            ..SERVER
        }),
        blobs: BlobsAt::SignedForGet(307),
        headers: &[
            ("ratelimit-limit", "200;w=21600"),
            ("ratelimit-remaining", "190;w=21600"),
            ("docker-ratelimit-source", "203.0.113.7"),
        ],
        absence: Some(hidden(401, "UNAUTHORIZED", "authentication required")),
        ..named("dockerhub", "library/private")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            ping_challenge: r#"Bearer realm="{realm}",service="{service}",scope="repository:user/image:pull""#,
            service: "ghcr.io",
            nobody: Nobody::Refused,
            expires_in: None,
            ..SERVER
        }),
        blobs: BlobsAt::SignedForGet(307),
        absence: Some(hidden(403, "DENIED", "requested access to the resource is denied")),
        ..named("ghcr", "owner/name")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/v2/auth",
            challenge: SHORT,
            service: "quay.io",
            username: "my-org+robot",
            ..SERVER
        }),
        blobs: BlobsAt::Signed(302),
        absence: Some(hidden(401, "UNAUTHORIZED", "access to the requested resource is not authorized")),
        ..named("quay", "my-org/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/jwt/auth",
            place: Place::Elsewhere,
            service: "container_registry",
            username: "gitlab+deploy-token-1",
            nobody: Nobody::Refused,
            ..SERVER
        }),
        blobs: BlobsAt::Signed(307),
        ..named("gitlab", "group/subgroup/deeper/project/app")
    },
    Recipe {
        login: Login::Basic {
            challenge: r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
            username: "AWS",
        },
        blobs: BlobsAt::SignedForGet(307),
        ..named("ecr", "team/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/token/",
            challenge: r#"Bearer realm="{realm}",service="{service}",scope="aws""#,
            ping_challenge: r#"Bearer realm="{realm}",service="{service}",scope="aws""#,
            service: "public.ecr.aws",
            username: "AWS",
            expires_in: None,
            reach: TokenReach::Everything,
            ..SERVER
        }),
        blobs: BlobsAt::Signed(307),
        ..named("ecr-public", "alias/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            challenge: r#"Bearer realm="{realm}",service={service},scope="{scope}""#,
            ping_challenge: r#"Bearer realm="{realm}",service={service}"#,
            service: "gcr.io",
            username: "_json_key",
            ..GOOGLE
        }),
        blobs: BlobsAt::OwnHost(302),
        ..named("gcr", "project/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer { ping_challenge: r#"Bearer realm="{realm}""#, ..GOOGLE }),
        blobs: BlobsAt::OwnHost(302),
        ..named("gar", "project/repository/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/oauth2/token",
            service: "contoso.azurecr.io",
            username: "pull-token",
            field: Some("access_token"),
            expires_in: None,
            tags_action: "metadata_read",
            nobody: Nobody::Refused,
            exchange: Some("/oauth2/exchange"),
            ..SERVER
        }),
        blobs: BlobsAt::SignedForGet(307),
        ..named("acr", "team/app")
    },
    Recipe { login: Login::Open, blobs: BlobsAt::Signed(307), ..named("mcr", "dotnet/runtime") },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/20180419/docker/token",
            challenge: r#"Bearer realm="{realm}",service="{service}",scope="""#,
            service: "fra.ocir.io",
            username: "my-namespace/my-user",
            ..SERVER
        }),
        ..named("ocir", "my-namespace/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/oauth/token",
            challenge: "Bearer realm={realm}, service={service}, scope={scope}",
            ping_challenge: "Bearer realm={realm}, service={service}",
            username: "iamapikey",
            ..SERVER
        }),
        ..named("ibm", "my-namespace/app")
    },
    Recipe {
        login: Login::Basic { challenge: r#"Basic realm="registry.cloudflare.com""#, username: "v1" },
        ..named("cloudflare", "account/app")
    },
    Recipe {
        login: Login::Open,
        manifests: ManifestsAt::Backend("k8s-artifacts-prod/images"),
        ..named("k8s", "pause")
    },
    Recipe { login: Login::Open, blobs: BlobsAt::Signed(302), ..named("redhat", "ubi9/ubi") },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/auth/realms/rhcc/protocol/redhat-docker-v2/auth",
            service: "docker-registry",
            username: "1234567|transship",
            nobody: Nobody::Refused,
            ..SERVER
        }),
        blobs: BlobsAt::Signed(302),
        ..named("redhat-io", "ubi9/openjdk-21")
    },
    Recipe { login: Login::Bearer(SUSE), ..named("suse", "suse/ltss/sle15.5/bci-base") },
    Recipe { login: Login::Bearer(SUSE), ..named("rancher", "rancher/private") },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/proxy_auth",
            challenge: r#"Bearer realm="{realm}",scope="{scope}""#,
            ping_challenge: r#"Bearer realm="{realm}""#,
            username: "$oauthtoken",
            expires_in: Some(600),
            ..SERVER
        }),
        blobs: BlobsAt::Signed(307),
        ..named("nvcr", "organization/team/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/auth",
            service: "Oracle Registry",
            username: "me@example.com",
            ..SERVER
        }),
        ..named("oracle", "database/enterprise")
    },
    JFROG,
    Recipe { key: "artifactory", blobs: BlobsAt::Registry, ..JFROG },
    Recipe {
        login: Login::Basic { challenge: r#"BASIC realm="Sonatype Nexus Repository Manager""#, username: "ci" },
        ..named("nexus", "team/app")
    },
    Recipe {
        login: Login::Bearer(TokenServer {
            path: "/service/token",
            service: "harbor-registry",
            username: "robot$hub-proxy+transship",
            field: None,
            expires_in: Some(1800),
            reach: TokenReach::Projects,
            ..SERVER
        }),
        asked_as: "hub-proxy/alpine",
        ..named("harbor", "hub-proxy/library/alpine")
    },
    Recipe {
        login: Login::Basic { challenge: r#"Basic realm="Registry Realm""#, username: "ci" },
        ..named("distribution", "team/app")
    },
    PLAIN,
];
