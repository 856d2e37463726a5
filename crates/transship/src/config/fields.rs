//! The one table of configuration fields: it drives the checker, the JSON Schema and the reference.
//!
//! Must not know how a field is used. Invariant: a test reads every field's example through the checker and `raw`,
//! so table and types cannot part. Repository fields stand in the registry's own table.

use super::kind::Kind;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// On SIGHUP or when the file changes.
    Reload,
    /// At the next start.
    Restart,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Dotted path in the file.
    pub(crate) path: &'static str,
    /// Kind of value.
    pub(crate) kind: Kind,
    /// Default in words.
    pub(crate) default: &'static str,
    /// A value as a person would write it.
    pub(crate) example: &'static str,
    /// When a change takes effect.
    pub(crate) change: Change,
    /// What it means.
    pub(crate) meaning: &'static str,
}

const MIB: u64 = 1 << 20;

/// All of them, in the order of the reference.
pub(crate) const FIELDS: &[Field] = &[
    Field {
        path: "listen",
        kind: Kind::Addresses,
        default: "`127.0.0.1:5000`",
        example: r#"["127.0.0.1:5000", "[::1]:5000"]"#,
        change: Change::Restart,
        meaning: "Where clients connect. Listen on other than loopback addresses only where everyone who can connect may pull.",
    },
    Field {
        path: "public_url",
        kind: Kind::Url,
        default: "the host that the client used, with `https` when `tls.cert` is set",
        example: "https://registry.example.com",
        change: Change::Restart,
        meaning: "Where clients reach this server, when something in front of it ends TLS or has another name: the address of the token service that `docker login` is sent to.",
    },
    Field {
        path: "cache_dir",
        kind: Kind::Path,
        default: "`transship` in the user's data directory (`$XDG_DATA_HOME` or `~/.local/share`)",
        example: "/var/lib/transship",
        change: Change::Restart,
        meaning: "The folder that holds everything: blobs, what is being filled, the metadata database, the admin token. Made when missing.",
    },
    Field {
        path: "cache.max_size",
        kind: Kind::Size { min: MIB },
        default: "`50GiB` or half of the file system, whichever is smaller",
        example: "200GiB",
        change: Change::Reload,
        meaning: "The cache's budget. What was used longest ago leaves first; a pull never fails because the cache is full.",
    },
    Field {
        path: "cache.fill_on_range",
        kind: Kind::FillPolicy,
        default: "`after:0.5`",
        example: "background",
        change: Change::Reload,
        meaning: "`fill_on_range` of repositories in this file that do not say their own.",
    },
    Field {
        path: "builtin_upstreams",
        kind: Kind::Flag,
        default: "`true`",
        example: "false",
        change: Change::Reload,
        meaning: "Whether the well-known registries (dockerhub, ghcr, quay, …) are there without being configured.",
    },
    Field {
        path: "v2_login",
        kind: Kind::Choice(&["auto", "always", "never"]),
        default: "`auto`",
        example: "always",
        change: Change::Reload,
        meaning: "Whether `GET /v2/` asks for a login at an address that repositories share, which docker, podman and skopeo go by: `auto` when every repository has `auth: passthrough`, `always` when any has (clients without a login may then get nothing from the others), `never`. See docs/passthrough.md.",
    },
    Field {
        path: "repos",
        kind: Kind::Repositories,
        default: "none",
        example: "{ corp: { upstream: \"https://registry.example.com\" } }",
        change: Change::Reload,
        meaning: "Repositories by key; see below. They cannot be changed over the API.",
    },
    Field {
        path: "tls.cert",
        kind: Kind::Path,
        default: "none: plain HTTP",
        example: "/etc/transship/tls.crt",
        change: Change::Restart,
        meaning: "Certificate chain, PEM. Needs `tls.key`. What is in the file is read again when it changes; another path waits for a restart.",
    },
    Field {
        path: "tls.key",
        kind: Kind::Path,
        default: "none: plain HTTP",
        example: "/etc/transship/tls.key",
        change: Change::Restart,
        meaning: "Private key, PEM. Needs `tls.cert`. Read again like the certificate.",
    },
    Field {
        path: "log.level",
        kind: Kind::LogFilter,
        default: "`info`",
        example: "info,transship_client=debug",
        change: Change::Reload,
        meaning: "`error`, `warn`, `info`, `debug`, `trace` or `off`; also by target: `info,transship_client=debug`. A bare level is for this program's own code: libraries say warnings and errors only, unless named (`hyper=debug` may print credentials). The line of each request has the target `transship::request` and the level `info`, that of each upstream exchange `transship::upstream`.",
    },
    Field {
        path: "log.trace_upstream",
        kind: Kind::Flag,
        default: "`false`",
        example: "true",
        change: Change::Reload,
        meaning: "Whether the lines of upstream exchanges, and `GET /api/repos/{repoKey}/exchanges`, have the headers of request and answer. Values are shown of headers known to be harmless; of all others only the names, of `Authorization` only the scheme.",
    },
    Field {
        path: "log.format",
        kind: Kind::Choice(&["human", "json"]),
        default: "`human` on a terminal, `json` otherwise",
        example: "json",
        change: Change::Restart,
        meaning: "The form of the log on standard error.",
    },
    Field {
        path: "tracing.otlp_endpoint",
        kind: Kind::Url,
        default: "none: no traces",
        example: "http://127.0.0.1:4318",
        change: Change::Restart,
        meaning: "OpenTelemetry collector that takes OTLP over HTTP (protobuf). Without a path, `/v1/traces` is added.",
    },
    Field {
        path: "admin.token_file",
        kind: Kind::Path,
        default: "`admin.token` in the cache directory, made at first start",
        example: "/run/secrets/transship-admin-token",
        change: Change::Restart,
        meaning: "File with the token that `/api` calls need. When named here it must exist; it is never written.",
    },
    Field {
        path: "secrets.key_file",
        kind: Kind::Path,
        default: "`secrets/sealing.keys` in the cache directory, made at first start",
        example: "/run/secrets/transship-secrets-key",
        change: Change::Restart,
        meaning: "File with the keys that seal credentials in the metadata database, one of 64 hexadecimal digits a line, newest first. When named here it must exist. Its content is read again when it changes; `transship secrets rotate` changes it.",
    },
    Field {
        path: "upstream.connect_timeout",
        kind: Kind::Duration { min_secs: 1 },
        default: "`10s`",
        example: "5s",
        change: Change::Reload,
        meaning: "How long connecting to an upstream may take, TLS included.",
    },
    Field {
        path: "upstream.first_byte_timeout",
        kind: Kind::Duration { min_secs: 1 },
        default: "`15s`",
        example: "20s",
        change: Change::Reload,
        meaning: "How long an upstream may take to start its answer.",
    },
    Field {
        path: "upstream.idle_timeout",
        kind: Kind::Duration { min_secs: 1 },
        default: "`30s`",
        example: "60s",
        change: Change::Reload,
        meaning: "How long an upstream may pause within a body before the fill resumes on a new connection.",
    },
    Field {
        path: "upstream.max_attempts",
        kind: Kind::Count { min: 1, max: 10 },
        default: "`3`",
        example: "5",
        change: Change::Reload,
        meaning: "Attempts for one exchange with an upstream, the first included.",
    },
    Field {
        path: "upstream.retry_base",
        kind: Kind::Duration { min_secs: 0 },
        default: "`100ms`",
        example: "250ms",
        change: Change::Reload,
        meaning: "The pause before the second attempt, without jitter; it doubles with every further one (docs/resilience.md).",
    },
    Field {
        path: "upstream.retry_max",
        kind: Kind::Duration { min_secs: 0 },
        default: "`2s`",
        example: "5s",
        change: Change::Reload,
        meaning: "The longest pause between two attempts. Not shorter than `upstream.retry_base`.",
    },
    Field {
        path: "upstream.hedge",
        kind: Kind::Choice(&["off", "auto"]),
        default: "`off`",
        example: "auto",
        change: Change::Reload,
        meaning: "Whether a HEAD of a manifest that is slower than nearly all before it is put a second time (`auto`), within the retry budget and only where the upstream tells no rate limit.",
    },
    Field {
        path: "upstream.limits",
        kind: Kind::HostLimits,
        default: "none",
        example: "{ registry-1.docker.io: { requests_per_second: 20, bytes_per_second: 50MiB, concurrent_requests: 16 } }",
        change: Change::Reload,
        meaning: "What this server allows itself at an upstream host (`host` or `host:port`), all repositories together: the fields are those of a repository's `limits`, and both hold. A registry with several names is one host (docs/resilience.md).",
    },
    Field {
        path: "upstream.proxy",
        kind: Kind::Text,
        default: "none: upstreams are asked directly",
        example: "http://proxy.example.com:3128",
        change: Change::Reload,
        meaning: "Proxy for all upstreams without a `network.proxy` of their own: `http://`, `https://`, `socks5://`, `socks5h://`, or `env`: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say. Without `env` those variables mean nothing.",
    },
    Field {
        path: "upstream.proxy_username",
        kind: Kind::Text,
        default: "none",
        example: "ci",
        change: Change::Reload,
        meaning: "User name for `upstream.proxy`. Needs `upstream.proxy_password`.",
    },
    Field {
        path: "upstream.proxy_password",
        kind: Kind::Text,
        default: "none",
        example: "${PROXY_PASSWORD:-word}",
        change: Change::Reload,
        meaning: "Password for `upstream.proxy`, best as `${NAME}`. It is given to that proxy alone.",
    },
    Field {
        path: "upstream.no_proxy",
        kind: Kind::Texts,
        default: "none",
        example: r#"["corp.example.com", "10.0.0.0/8"]"#,
        change: Change::Reload,
        meaning: "Hosts asked directly: names with all below them, addresses, networks, or `*`.",
    },
    Field {
        path: "upstream.dns_server",
        kind: Kind::Address,
        default: "none: as the system resolves names",
        example: "10.0.0.53:53",
        change: Change::Reload,
        meaning: "Name server that is asked for upstreams, redirects and `srv+` services in place of the system's resolver and hosts file.",
    },
    Field {
        path: "gc.interval",
        kind: Kind::Duration { min_secs: 0 },
        default: "`1h`",
        example: "15m",
        change: Change::Reload,
        meaning: "Time between garbage collections of hosted repositories (docs/hosted.md). `0s`: only when asked (`transship gc`).",
    },
    Field {
        path: "gc.grace",
        kind: Kind::Duration { min_secs: 0 },
        default: "`24h`",
        example: "7d",
        change: Change::Reload,
        meaning: "How long something in a hosted repository stays after garbage collection found that nothing needs it.",
    },
    Field {
        path: "gc.lease",
        kind: Kind::Duration { min_secs: 1 },
        default: "`1h`",
        example: "3h",
        change: Change::Reload,
        meaning: "How long a blob stays at least, needed or not, after a client was told that it is there: as long as a push may take from its first blob to its manifest. A year at most.",
    },
    Field {
        path: "gc.delete_untagged",
        kind: Kind::Flag,
        default: "`false`",
        example: "true",
        change: Change::Reload,
        meaning: "Whether garbage collection takes away manifests that no tag and no index leads to, in repositories that do not say it themselves (`gc.delete_untagged`).",
    },
    Field {
        path: "shutdown_timeout",
        kind: Kind::Duration { min_secs: 0 },
        default: "`30s`",
        example: "25s",
        change: Change::Restart,
        meaning: "How long a stop waits for responses under way and for fills to be left resumable.",
    },
    Field {
        path: "limits.max_connections",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "`10000`",
        example: "2000",
        change: Change::Restart,
        meaning: "Client connections at one time; further ones wait to be accepted.",
    },
];
