//! The registries of cloud providers: AWS, Google, Azure, Microsoft, Oracle, IBM, Cloudflare.
//!
//! Data only. Invariant: what is said here is said in `source`, or the profile is `Unverified`.

use super::pattern::HostPattern;
use super::profile::{
    AuthFlow, Blobs, Limits, Missing, MultiRange, Names, Profile, RateLimitHeaders, Referrers, Standing, Tags,
    TokenServer, Verified,
};

const BASE: Profile = Profile::base("", "", "");

const fn at(pattern: &'static str) -> HostPattern {
    HostPattern::new(pattern)
}

pub(super) const ECR: Profile = Profile {
    hosts: &[
        at("*.dkr.ecr.*.amazonaws.com"),
        at("*.dkr.ecr-fips.*.amazonaws.com"),
        at("*.dkr.ecr.*.amazonaws.com.cn"),
        at("*.dkr-ecr.*.on.aws"),
    ],
    token: TokenServer {
        flow: AuthFlow::Basic,
        hosts: &[],
        realm: "none: the registry itself takes Basic",
        lifetime: "12 h (`GetAuthorizationToken`)",
        login: "user `AWS` with the token of `GetAuthorizationToken`; the right to `ecr:BatchGetImage` and \
                `ecr:GetDownloadUrlForLayer`",
    },
    names: Names { library_prefix: false, form: "any depth, lower case; a pull never creates a repository" },
    blobs: Blobs {
        redirect: Some(307),
        hosts: &["*.s3.*.amazonaws.com"],
        multi_range: MultiRange::Whole,
        ..BASE.blobs
    },
    tags: Tags { max_page: Some(1000), ..BASE.tags },
    referrers: Referrers::Native,
    limits: Limits { headers: RateLimitHeaders::None, text: "API quotas of account and region" },
    notes: &["A pull-through cache rule of ECR is a name prefix here (`docker-hub/library/alpine`)."],
    verified: Verified::Documented,
    source: &[
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html",
        "https://github.com/containerd/stargz-snapshotter/pull/350",
    ],
    ..Profile::base(
        "ecr",
        "Amazon ECR, private",
        "upstream: https://123456789012.dkr.ecr.eu-west-1.amazonaws.com\nauth:\n  username: AWS\n  password: ${ECR_TOKEN}",
    )
};

pub(super) const ECR_PUBLIC: Profile = Profile {
    url: Some("https://public.ecr.aws"),
    aliases: &["public.ecr.aws"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://public.ecr.aws/token/",
        lifetime: "12 h (`ecr-public:GetAuthorizationToken`, in us-east-1 only)",
        login: "none needed; the token itself is a Bearer token, Basic is refused by the API",
    },
    names: Names { library_prefix: false, form: "`alias/name`; `docker/library/*` are Docker Hub's official images" },
    blobs: Blobs { redirect: Some(307), hosts: &["*.cloudfront.net"], ..BASE.blobs },
    limits: Limits { headers: RateLimitHeaders::None, text: "1 pull a second from one address without login, 10 with" },
    notes: &[
        "The scope of its challenge is `aws`, whatever is asked for.",
        "A token needs `sts:GetServiceBearerToken` besides `ecr-public:GetAuthorizationToken`.",
    ],
    verified: Verified::Documented,
    source: &[
        "https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html",
        "https://github.com/kreuzwerker/terraform-provider-docker/pull/666",
        "https://github.com/fluxcd/pkg/pull/938",
    ],
    ..Profile::base("ecr-public", "Amazon ECR, public", "upstream: https://public.ecr.aws")
};

const GOOGLE_LOGIN: &str = "`_json_key` or `_json_key_base64` with a service account's key, or `oauth2accesstoken` with an \
                            access token (60 min)";

pub(super) const GCR: Profile = Profile {
    url: Some("https://gcr.io"),
    aliases: &["gcr.io"],
    hosts: &[at("us.gcr.io"), at("eu.gcr.io"), at("asia.gcr.io"), at("mirror.gcr.io"), at("k8s.gcr.io")],
    standing: Standing::BuiltIn,
    token: TokenServer { realm: "https://gcr.io/v2/token", login: GOOGLE_LOGIN, flow: AuthFlow::Bearer, ..BASE.token },
    names: Names { library_prefix: false, form: "`project/name`, any depth" },
    source: &["https://github.com/cloudflare/serverless-registry/pull/122", GOOGLE_DOCS, STARGZ_RANGES],
    notes: &[
        "Served by Artifact Registry today. `mirror.gcr.io` holds what is popular on Docker Hub, with no promise.",
        "The `service` of its challenge stands without quotes.",
    ],
    ..GOOGLE
};

const GOOGLE_DOCS: &str = "https://cloud.google.com/artifact-registry/docs/docker/authentication";
const STARGZ_RANGES: &str = "https://github.com/containerd/stargz-snapshotter/pull/81";

const GOOGLE: Profile = Profile {
    blobs: Blobs {
        redirect: Some(302),
        hosts: &["the registry's own host (`/artifacts-downloads/…`)", "storage.googleapis.com"],
        multi_range: MultiRange::BadRequest,
        ..BASE.blobs
    },
    referrers: Referrers::Native,
    limits: Limits { headers: RateLimitHeaders::None, text: "quotas of the project" },
    verified: Verified::Documented,
    ..Profile::base(
        "gcr",
        "Google Container Registry (gcr.io)",
        "upstream: https://gcr.io\nauth:\n  username: _json_key\n  password: ${GOOGLE_KEY_JSON}",
    )
};

pub(super) const ARTIFACT_REGISTRY: Profile = Profile {
    key: "gar",
    title: "Google Artifact Registry",
    hosts: &[at("*-docker.pkg.dev"), at("docker.pkg.dev")],
    token: TokenServer { realm: "https://<host>/v2/token", login: GOOGLE_LOGIN, flow: AuthFlow::Bearer, ..BASE.token },
    names: Names { library_prefix: false, form: "`project/repository/name`" },
    notes: &["The challenge of `/v2/` is a realm alone, without service and scope.", "Tag lists have extra fields."],
    source: &[GOOGLE_DOCS, "https://github.com/nicholas-fedor/watchtower/pull/1895", STARGZ_RANGES],
    example: "upstream: https://europe-west3-docker.pkg.dev/my-project/my-repository\nauth:\n  username: _json_key\n  \
              password: ${GOOGLE_KEY_JSON}",
    ..GOOGLE
};

pub(super) const ACR: Profile = Profile {
    hosts: &[at("*.azurecr.io"), at("*.azurecr.cn"), at("*.azurecr.us")],
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://<registry>.azurecr.io/oauth2/token",
        lifetime: "75 min",
        login: "repository-scoped token, service principal or admin user; or \
                `00000000-0000-0000-0000-000000000000` with a refresh token from `/oauth2/exchange`",
    },
    names: Names { library_prefix: false, form: "any depth, lower case" },
    blobs: Blobs { redirect: Some(307), hosts: &["*.data.azurecr.io", "*.blob.core.windows.net"], ..BASE.blobs },
    tags: Tags { action: "metadata_read", max_page: None },
    referrers: Referrers::Native,
    limits: Limits { headers: RateLimitHeaders::None, text: "by service tier" },
    notes: &["Listing tags needs the scope `repository:<name>:metadata_read`; a token for `pull` is refused."],
    verified: Verified::Documented,
    source: &[
        "https://learn.microsoft.com/azure/container-registry/container-registry-authentication",
        "https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md",
    ],
    ..Profile::base(
        "acr",
        "Azure Container Registry",
        "upstream: https://contoso.azurecr.io\nauth:\n  username: pull-token\n  password: ${ACR_TOKEN_PASSWORD}",
    )
};

pub(super) const MCR: Profile = Profile {
    url: Some("https://mcr.microsoft.com"),
    aliases: &["mcr.microsoft.com"],
    standing: Standing::BuiltIn,
    token: TokenServer { flow: AuthFlow::Open, realm: "none", lifetime: "", login: "none", ..BASE.token },
    names: Names { library_prefix: false, form: "any depth" },
    blobs: Blobs { redirect: Some(307), hosts: &["*.data.mcr.microsoft.com"], ..BASE.blobs },
    notes: &["Windows images may have layers that stand elsewhere (`urls` in the manifest); those are not fetched."],
    verified: Verified::Documented,
    source: &["https://github.com/microsoft/containerregistry/blob/main/docs/mcr-endpoints-guidance.md"],
    ..Profile::base("mcr", "Microsoft Artifact Registry", "upstream: https://mcr.microsoft.com")
};

pub(super) const OCIR: Profile = Profile {
    hosts: &[at("*.ocir.io"), at("ocir.*.oci.oraclecloud.com")],
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://<region>.ocir.io/20180419/docker/token",
        lifetime: "as the token server says",
        login: "`<tenancy-namespace>/<user>` with an auth token, or `BEARER_TOKEN` with a short-lived one",
    },
    names: Names { library_prefix: false, form: "`tenancy-namespace/name`, any depth" },
    notes: &["The challenge names an empty scope; `repository:<name>:pull` is asked for."],
    verified: Verified::Documented,
    source: &[
        "https://github.com/jupyterhub/binderhub/pull/1586",
        "https://www.ateam-oracle.com/authentication-mechanisms-for-oci-container-registry-ocir",
    ],
    ..Profile::base(
        "ocir",
        "Oracle Cloud Infrastructure Registry",
        "upstream: https://fra.ocir.io\nauth:\n  username: my-namespace/my-user\n  password: ${OCIR_AUTH_TOKEN}",
    )
};

pub(super) const IBM: Profile = Profile {
    url: Some("https://icr.io"),
    aliases: &["icr.io"],
    hosts: &[at("*.icr.io")],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Bearer,
        hosts: &[],
        realm: "https://<host>/oauth/token",
        lifetime: "as the token server says",
        login: "`iamapikey` with an API key, or `iambearer` with an IAM token; `cp` with an entitlement key for cp.icr.io",
    },
    names: Names { library_prefix: false, form: "`namespace/name`" },
    notes: &["Its challenge leaves the quotes off and puts spaces after the commas."],
    verified: Verified::Documented,
    source: &["https://cloud.ibm.com/docs/Registry?topic=Registry-registry_access"],
    ..Profile::base(
        "ibm",
        "IBM Cloud Container Registry",
        "upstream: https://de.icr.io\nauth:\n  username: iamapikey\n  password: ${IBM_API_KEY}",
    )
};

pub(super) const CLOUDFLARE: Profile = Profile {
    url: Some("https://registry.cloudflare.com"),
    aliases: &["registry.cloudflare.com"],
    standing: Standing::BuiltIn,
    token: TokenServer {
        flow: AuthFlow::Basic,
        hosts: &[],
        realm: "none: the registry itself takes Basic",
        lifetime: "as ordered with the credential; minutes to hours",
        login: "user `v1` with a password of `wrangler containers registries credentials`",
    },
    names: Names { library_prefix: false, form: "`account/name`" },
    missing: Missing { statuses: &[401], ..BASE.missing },
    notes: &["Nothing is public. Passwords are short-lived: get them by a program, not by hand."],
    verified: Verified::Documented,
    source: &[
        "https://developers.cloudflare.com/containers/guides/image-management/",
        "https://github.com/cloudflare/workers-sdk/pull/12693",
    ],
    ..Profile::base(
        "cloudflare",
        "Cloudflare's container registry",
        "upstream: https://registry.cloudflare.com\nauth:\n  username: v1\n  password: ${CLOUDFLARE_REGISTRY_PASSWORD}",
    )
};
