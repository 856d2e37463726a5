//! The registries people run themselves: Artifactory, Nexus, Harbor, distribution; and Artifactory as a service.
//!
//! Data only. Invariant: what is said here is said in `source`, or the profile is `Unverified`.

use super::pattern::HostPattern;
use super::profile::{
    AuthFlow, Blobs, DeniedTag, Limits, Missing, Names, Profile, RateLimitHeaders, Referrers, TokenServer, Verified,
};

const BASE: Profile = Profile::base("", "", "");

const JFROG_NOTES: &[&str] = &[
    "A virtual repository answers 403 for a tag that does not exist as soon as one of its members is forbidden. With a good \
     login (`/v2/` answers), such a 403 counts as 404.",
    "Some repositories answer the referrers endpoint with 406: the fallback tag is asked for then.",
    "The same tag may have another digest for another Accept header.",
];

const JFROG: Profile = Profile {
    token: TokenServer {
        flow: AuthFlow::BasicOrBearer,
        hosts: &[],
        realm: "https://<host>/artifactory/api/docker/<repository or null>/v2/token or https://<host>/v2/token",
        lifetime: "as the token server says",
        login: "user with an identity or access token",
    },
    missing: Missing { statuses: &[403], denied_tag: DeniedTag::Missing },
    referrers: Referrers::Partial,
    notes: JFROG_NOTES,
    verified: Verified::Documented,
    source: &[
        "https://docs.jfrog.com/artifactory/docs/additional-docker-information",
        "https://github.com/google/go-containerregistry/pull/1691",
        "https://github.com/google/go-containerregistry/issues/1962",
    ],
    ..BASE
};

pub(super) const JFROG_CLOUD: Profile = Profile {
    key: "jfrog",
    title: "JFrog Artifactory, cloud",
    hosts: &[HostPattern::new("*.jfrog.io")],
    names: Names {
        library_prefix: false,
        form: "`repository/name` at `<instance>.jfrog.io`, or `name` at `<instance>-<repository>.jfrog.io`",
    },
    blobs: Blobs { redirect: Some(302), hosts: &["*.cloudfront.net", "*.amazonaws.com"], ..BASE.blobs },
    limits: Limits { headers: RateLimitHeaders::None, text: "quotas of the subscription" },
    example: "upstream: https://acme.jfrog.io/docker-local\nauth:\n  username: ci\n  password: ${JFROG_TOKEN}",
    ..JFROG
};

pub(super) const ARTIFACTORY: Profile = Profile {
    key: "artifactory",
    title: "JFrog Artifactory, self-hosted",
    names: Names {
        library_prefix: false,
        form: "by path (`host/repository/name`), by subdomain (`repository.host/name`) or by port (`host:8876/name`)",
    },
    example: "profile: artifactory\nupstream: https://artifactory.example.com/docker-local   # or https://docker-local.artifactory.example.com, or https://artifactory.example.com:8876\nauth:\n  username: ci\n  password: ${ARTIFACTORY_TOKEN}",
    ..JFROG
};

pub(super) const NEXUS: Profile = Profile {
    token: TokenServer {
        flow: AuthFlow::BasicOrBearer,
        hosts: &[],
        realm: "https://<host>/v2/token with the Docker Bearer Token Realm, else Basic",
        lifetime: "as the token server says",
        login: "user or user token",
    },
    names: Names { library_prefix: false, form: "by port, by subdomain, or by path (`host/repository/name`)" },
    notes: &[
        "New repositories force Basic until `forceBasicAuth` is switched off, whatever realms are active.",
        "Anonymous pulls need the Docker Bearer Token Realm.",
    ],
    verified: Verified::Documented,
    source: &[
        "https://help.sonatype.com/en/docker-authentication.html",
        "https://github.com/sonatype/nexus-public/issues/921",
    ],
    ..Profile::base(
        "nexus",
        "Sonatype Nexus Repository",
        "profile: nexus\nupstream: https://nexus.example.com:8083\nauth:\n  username: ci\n  password: ${NEXUS_PASSWORD}",
    )
};

pub(super) const HARBOR: Profile = Profile {
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://<host>/service/token",
        lifetime: "30 min by default",
        login: "robot account `robot$project+name` with its secret",
    },
    names: Names { library_prefix: false, form: "`project/name`; with a proxy project `project/library/name`" },
    referrers: Referrers::Native,
    limits: Limits { headers: RateLimitHeaders::None, text: "429 beyond `max_upstream_conn` of a proxy project" },
    notes: &[
        "A proxy project of Docker Hub sends names without `library/` on with 301, manifests and blobs alike; it is followed.",
        "In proxy projects the referrers endpoint answers 404 unless it was switched on.",
    ],
    verified: Verified::Documented,
    source: &["https://goharbor.io/docs/main/administration/configure-proxy-cache/"],
    ..Profile::base(
        "harbor",
        "Harbor",
        "profile: harbor\nupstream: https://harbor.example.com/my-project\nauth:\n  username: robot$my-project+transship\n  password: ${HARBOR_ROBOT_SECRET}",
    )
};

pub(super) const DISTRIBUTION: Profile = Profile {
    blobs: Blobs { redirect: None, hosts: &["those of its object store, when `redirect` is on"], ..BASE.blobs },
    referrers: Referrers::Absent,
    names: Names { library_prefix: false, form: "any depth" },
    notes: &["Multi-architecture images, ranges, ETag and HEAD as in the specification."],
    verified: Verified::Verified,
    source: &["https://distribution.github.io/distribution/", "our tests pull from the real one"],
    ..Profile::base(
        "distribution",
        "distribution (`registry:2`, `registry:3`)",
        "profile: distribution\nupstream: http://127.0.0.1:5001\ninternal: true",
    )
};
