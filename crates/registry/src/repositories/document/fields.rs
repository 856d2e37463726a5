//! The table of a repository document's fields: it drives the check of names, the reference and the JSON schema.
//!
//! Must not know how a field is read. Invariant: a field that is read stands here, and the other way round.

/// A field of a repository document, for the reference and the JSON schema.
#[derive(Clone, Copy, Debug)]
pub struct FieldDoc {
    /// Path inside the document.
    pub path: &'static str,
    /// Type as a person would say it.
    pub kind: &'static str,
    /// Default as written, or empty.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn doc(path: &'static str, kind: &'static str, default: &'static str, meaning: &'static str) -> FieldDoc {
    FieldDoc { path, kind, default, meaning }
}

/// Every field of a repository document.
pub const FIELDS: &[FieldDoc] = &[
    doc(
        "kind",
        "string",
        "proxy",
        "What the repository is: `proxy`, a cache in front of an upstream, `hosted`, a place for pushes ([hosted](hosted.md)), or `group`, several behind one key ([groups](groups.md)). A hosted one has the fields that say so, `immutable_tags`, `hosts` and `listen`, a group those that say so, `hosts` and `listen`, and none of the others.",
    ),
    doc(
        "members",
        "list of keys",
        "",
        "Of a group: the repositories it has, of kind `hosted` or `proxy`, the one that is asked first at the beginning. The next one is asked only when those before say that they do not have it. Required.",
    ),
    doc("push_to", "string", "", "Of a group: the hosted member that takes pushes. Without one, the group takes none."),
    doc(
        "names",
        "string",
        "kept",
        "Of a group: `kept`, the first member that has a name keeps it, and nobody else is asked for anything under it; `merged`, each tag is the first member's that has it, which is for members that you trust alike.",
    ),
    doc(
        "name_ttl",
        "duration",
        "24h",
        "Of a group: how long a name that a `proxy` keeps is not looked for at those before it. At least `1m`.",
    ),
    doc(
        "pin",
        "object of strings",
        "",
        "Of a group: whose a name is, whatever others have: name patterns (`*`, which goes over `/`, and `?`) and members, as in `{ \"team/*\": releases }`. Of several that match, the most precise counts.",
    ),
    doc(
        "routes",
        "object of lists",
        "",
        "Of a group: members and the name patterns that only they are asked for, as in `{ corp: [\"corp/*\"] }`. A member that stands here is asked for nothing else, unless it is pinned.",
    ),
    doc(
        "push",
        "string",
        "token",
        "Of a hosted repository: who may push. `token`: whoever logs in with the admin token as the password. `anyone`: besides, every caller on this machine without a login, for laboratories.",
    ),
    doc(
        "push_limits.manifest",
        "size",
        "4MiB",
        "Of a hosted repository: the largest manifest that is taken. At most `4MiB`; the distribution spec asks registries to take as much as that.",
    ),
    doc("push_limits.layers", "number", "1000", "Of a hosted repository: most layers of a manifest, up to 1000."),
    doc("push_limits.children", "number", "1000", "Of a hosted repository: most manifests in an index, up to 1000."),
    doc("push_limits.blob", "size", "512GiB", "Of a hosted repository: the largest blob that is taken."),
    doc(
        "push_limits.staged",
        "size",
        "1TiB",
        "Of a hosted repository: most bytes that one who pushes may have in unfinished uploads.",
    ),
    doc(
        "push_limits.sessions",
        "number",
        "1000",
        "Of a hosted repository: most unfinished uploads that one who pushes may have.",
    ),
    doc(
        "push_limits.session_ttl",
        "duration",
        "24h",
        "Of a hosted repository: how long an unfinished upload may rest before it is given up. At least `1m`.",
    ),
    doc(
        "gc.delete_untagged",
        "boolean",
        "",
        "Of a hosted repository: whether garbage collection takes away manifests that no tag and no index leads to. Without it: as `gc.delete_untagged` of the configuration file says. One with a `subject` (a signature, an SBOM) lives as long as its subject (docs/hosted.md).",
    ),
    doc(
        "upstream",
        "URL",
        "",
        "The registry to pull from: scheme, host and port. A path is put before every name (`https://host/docker-remote`), unless it holds a segment `v2` and so says where the API is. `srv+https://_registry._tcp.corp.example` asks DNS for the servers (docs/network.md). Required, unless `upstreams` is there.",
    ),
    doc(
        "upstreams",
        "list of upstreams",
        "",
        "Instead of `upstream`, several: URLs, or objects with `url` and their own `auth`, `token_hosts`, `internal`, `profile`, `library_prefix`, `network`. The first is the named one: tags, access and \"not found\" are its own. The others are mirrors that hold the same content. See docs/mirrors.md.",
    ),
    doc(
        "strategy",
        "string",
        "ordered",
        "Which of several upstreams is asked for content with a known digest: `ordered` (as written) or `fastest` (by measured latency and errors).",
    ),
    doc(
        "health_check",
        "duration or off",
        "30s with mirrors",
        "How often the upstreams of a repository in use are asked for `/v2/`. What fails is asked last; nothing cached is ever hidden.",
    ),
    doc(
        "auth.name",
        "string",
        "auth",
        "What this credential is called in logs and explanations. `auth` may also be a list of such objects (named `auth[0]`, …): see [credentials](credentials.md).",
    ),
    doc(
        "auth.repositories",
        "string",
        "",
        "The credential is for the repositories below this name only (`org/private`). Of several, the longest goes first; those with the same share the load.",
    ),
    doc("auth.username", "string", "", "User name for the upstream. Needs `auth.password` or `auth.password_file`."),
    doc("auth.password", "string", "", "Password or access token for the upstream. Never shown again."),
    doc(
        "auth.password_file",
        "path",
        "",
        "A file that holds the password, in place of `auth.password`. Read at use, and again when it changes. *Not over the API.*",
    ),
    doc("auth.token", "string", "", "A token that is sent to the upstream as it is (`Bearer`)."),
    doc(
        "auth.token_file",
        "path",
        "",
        "A file that holds such a token. Read at use, and again when it changes. *Not over the API.*",
    ),
    doc(
        "auth.identity_token",
        "string",
        "",
        "A refresh token (docker's identity token), which the upstream's token server takes for access tokens.",
    ),
    doc(
        "auth.docker_config",
        "path",
        "",
        "Docker's `config.json` (or podman's `auth.json`): its entries, `credsStore` and `credHelpers` as docker uses them. *Not over the API.*",
    ),
    doc(
        "auth.helper",
        "string",
        "",
        "A credential helper by docker's protocol: its path, or what stands behind `docker-credential-`. *Not over the API.*",
    ),
    doc(
        "auth.exec.command",
        "list of words",
        "",
        "A program and its arguments that prints a credential: JSON (`username` and `password`, `token` or `identity_token`; `expires_in` or `expires_at`) or a bare token. *Not over the API.*",
    ),
    doc("auth.exec.lifetime", "duration", "10m", "How long what the program prints is used at most."),
    doc("auth.exec.env", "object of strings", "", "Environment variables for the program, besides those it inherits."),
    doc(
        "auth.ecr.access_key_id",
        "string",
        "AWS_ACCESS_KEY_ID",
        "AWS access key for Amazon's registries. Without one, the environment says whose login is used: its keys, a web identity (IRSA), the container's role (ECS, EKS) or the machine's ([credentials](credentials.md#amazon-ecr)).",
    ),
    doc("auth.ecr.secret_access_key", "string", "AWS_SECRET_ACCESS_KEY", "Its secret."),
    doc("auth.ecr.session_token", "string", "AWS_SESSION_TOKEN", "The session token of a temporary key."),
    doc(
        "auth.ecr.machine",
        "boolean",
        "false",
        "The role of the machine, from its metadata service (IMDSv2), whatever the environment says. *Not over the API.*",
    ),
    doc("auth.ecr.region", "string", "", "The region; by default that of the upstream's host name, or `AWS_REGION`."),
    doc(
        "auth.ecr.endpoint",
        "URL",
        "",
        "Where to ask for logins in place of Amazon's own endpoint (or `AWS_ENDPOINT_URL_ECR`). *Not over the API.*",
    ),
    doc("auth.google.key", "string", "", "A service account's key for Google's registries: the JSON document."),
    doc("auth.google.key_file", "path", "", "The same in a file. *Not over the API.*"),
    doc("auth.google.access_token", "string", "", "An access token that something else got."),
    doc(
        "auth.google.metadata",
        "boolean",
        "false",
        "The account of the machine, from the metadata service. *Not over the API.*",
    ),
    doc(
        "auth.google.endpoint",
        "URL",
        "",
        "Where to ask for tokens in place of Google's own endpoint. *Not over the API.*",
    ),
    doc("auth.azure.tenant", "string", "", "The directory of an application for Azure's registries."),
    doc("auth.azure.client_id", "string", "", "The application, or which of the machine's identities."),
    doc("auth.azure.client_secret", "string", "", "The application's secret."),
    doc(
        "auth.azure.managed_identity",
        "boolean",
        "false",
        "The identity of the machine, from the metadata service. *Not over the API.*",
    ),
    doc("auth.azure.access_token", "string", "", "An account's access token that something else got."),
    doc(
        "auth.azure.endpoint",
        "URL",
        "",
        "Where accounts log in, in place of Azure's public cloud. *Not over the API.*",
    ),
    doc(
        "passthrough.grant_ttl",
        "duration",
        "5m",
        "With `auth: passthrough` (callers log in with their own accounts at the upstream, see docs/passthrough.md): how long a caller's access is taken for granted without asking upstream again. At most `5m`; `0s` asks for each request.",
    ),
    doc(
        "passthrough.public_ttl",
        "duration",
        "15m",
        "The same for names that upstream gives to everybody. At most `15m`: so long is what has just become private still open.",
    ),
    doc(
        "passthrough.grace",
        "duration",
        "0s",
        "How long an access that has ended still counts while upstream cannot be asked. At most `24h`.",
    ),
    doc(
        "network.proxy",
        "URL or direct",
        "upstream.proxy",
        "The proxy on the way to this upstream and wherever it redirects: `http://`, `https://`, `socks5://` (names resolved here) or `socks5h://` (by the proxy). `direct` goes without. What this means for the address filter stands in docs/network.md.",
    ),
    doc("network.proxy_username", "string", "", "User name for the proxy. Needs `network.proxy_password`."),
    doc("network.proxy_password", "string", "", "Password for the proxy; given to the proxy alone. Never shown again."),
    doc(
        "network.no_proxy",
        "list of patterns",
        "[]",
        "Hosts asked directly: names with all below them, addresses, networks as `10.0.0.0/8`, or `*`.",
    ),
    doc(
        "network.ca",
        "path",
        "",
        "File of certificate authorities, PEM, accepted besides the system's for this upstream and its `token_hosts`. Only in the configuration file.",
    ),
    doc(
        "network.client_cert",
        "path",
        "",
        "Certificate chain, PEM, shown to this upstream and its `token_hosts` when they ask. Needs `network.client_key`. Only in the configuration file.",
    ),
    doc("network.client_key", "path", "", "Private key of `network.client_cert`, PEM. Only in the configuration file."),
    doc(
        "network.skip_tls_verify",
        "boolean",
        "false",
        "Accepts any certificate of this upstream's own host and port, never of a token server or redirect. Dangerous; `network.ca` is the right way.",
    ),
    doc("network.bind", "address", "", "Local IP address that connections start from."),
    doc(
        "network.http",
        "string",
        "auto",
        "`auto` speaks HTTP/2 where TLS offers it, all requests over one connection; `http1` uses a connection for each, which can be faster for many large blobs.",
    ),
    doc(
        "network.connections",
        "number, 1 to 16",
        "1",
        "Over how many connections requests to a host are spread where HTTP/2 would put all on one. More are faster for many large blobs over a long way.",
    ),
    doc("network.connect_timeout", "duration", "upstream.connect_timeout", "The same for this upstream."),
    doc("network.first_byte_timeout", "duration", "upstream.first_byte_timeout", "The same for this upstream."),
    doc("network.idle_timeout", "duration", "upstream.idle_timeout", "The same for this upstream."),
    doc("tag_ttl", "duration", "5m", "How long a tag is trusted without asking upstream. `0s` asks each time."),
    doc(
        "stale_while_revalidate",
        "duration",
        "0s",
        "How long past its `tag_ttl` a tag is still served at once (marked stale) while one check of it runs in the background. `0s` waits for the check.",
    ),
    doc(
        "stale_if_error",
        "duration",
        "30d",
        "How long a tag is still served while upstream fails (no answer, 5xx, 429, refused login).",
    ),
    doc("stale_if_denied", "duration", "24h", "The same while upstream answers 401 or 403 for the content itself."),
    doc("internal", "boolean", "false", "Allows an upstream on a private, loopback or link-local address."),
    doc(
        "hosts",
        "list of hosts",
        "[]",
        "Host names under which this repository is served alone, without its key in the path.",
    ),
    doc(
        "listen",
        "list of addresses",
        "[]",
        "Extra listeners that serve this repository alone: what docker's `registry-mirrors` needs.",
    ),
    doc(
        "immutable_tags",
        "list of patterns",
        "[]",
        "Tags that never move (`*` and `?`). Of a proxy: asked for once, then never again. Of a hosted repository: once pushed, neither overwritten nor deleted, nor is what they need.",
    ),
    doc(
        "immutable",
        "boolean",
        "false",
        "Of a hosted repository: whether everything in it is immutable. Every tag can be pushed once; nothing can be deleted.",
    ),
    doc(
        "channels",
        "map of objects",
        "{}",
        "Of a hosted repository: tags that move over immutable ones, like `stable: { over: \"v*\" }`; with `follow: latest` to the highest semantic version by themselves, with `prereleases: true` also to pre-releases. See [tags](tags.md).",
    ),
    doc(
        "retention.rules",
        "list of objects",
        "",
        "Of a hosted repository: which tags stay: `tags` (patterns), `keep_last` (a number), `keep_newer_than`, `keep_pulled_within` (times), `keep_matching` (patterns), `order` (`time` or `semver`), `delete_immutable`. A tag goes when a rule is about it and nothing keeps it. See [retention](retention.md).",
    ),
    doc(
        "retention.interval",
        "duration",
        "",
        "Of a hosted repository: how often retention runs by itself. Without it, only `transship retention run` does. At least `1m`.",
    ),
    doc(
        "promote",
        "list of objects",
        "[]",
        "Of a hosted repository: what is promoted to it: `from` (a repository), `when` (patterns of tags), `require` (rules), `run` (`push`: a push starts it; `hand`: only `transship promote`, by the same rules). See [promotion](promotion.md).",
    ),
    doc(
        "fill_on_range",
        "string",
        "after:0.5",
        "When a ranged request on a cold blob fills all of it: `none`, `background` or `after:<fraction>`, which also fills when several neighbouring parts are wanted at once.",
    ),
    doc(
        "limits.requests_per_second",
        "number",
        "",
        "Most calls a second to this repository's upstreams together; a login and redirects belong to their call. Calls wait for their turn; what would come too late for the client is answered with 503 and `Retry-After`, or stale.",
    ),
    doc(
        "limits.bytes_per_second",
        "size",
        "",
        "Most bytes a second from this repository's upstreams together, at least `16KiB`, like `10MiB`. Manifests count but do not wait. What is cached is served at full speed.",
    ),
    doc(
        "limits.concurrent_requests",
        "number",
        "",
        "Most calls at a time to this repository's upstreams together, the transfer of blobs included.",
    ),
    doc("token_hosts", "list of hosts", "[]", "Further hosts that may mint tokens for this upstream's credentials."),
    doc(
        "foreign_layers",
        "list of hosts",
        "[]",
        "Hosts that layers with addresses of their own (`urls` in a manifest, as in Windows base images) may be fetched from when the upstream does not have them: `host`, `host:port` or `*.host`. Without credentials, and every redirect must be listed too. By default none is fetched. See docs/foreign-layers.md.",
    ),
    doc(
        "profile",
        "string",
        "by the upstream's host",
        "What kind of registry the upstream is, for one under a name of its own: a key of docs/upstreams.md, like `harbor`.",
    ),
    doc(
        "referrers",
        "string",
        "auto",
        "Where it is found out who refers to a manifest (signatures, attestations, SBOMs): `auto` asks the upstream's referrers API, and where it has none, or asking is known to do harm, looks for the referrers tag and cosign's tags; `api` asks the API alone, whatever is known of the registry; `tag` looks for tags alone; `none` asks nobody, and every list is empty.",
    ),
    doc("library_prefix", "boolean", "true for Docker Hub", "Puts `library/` before names of one segment."),
];

/// The names that may stand directly under `section`: empty for the document itself, or as in `auth`.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in FIELDS {
        let below = if section.is_empty() {
            Some(field.path)
        } else {
            field.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = below.and_then(|below| below.split('.').next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}
