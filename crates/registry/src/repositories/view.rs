//! A repository's document as an administrator sees it.
//!
//! Must not know HTTP. Invariant: nothing secret is shown; of a credential, its name, form and user name.

use client::{Connections, Reach, Verification};
use serde_json::{Map, Value, json};

use super::network::NetworkSpec;
use super::repository::Repository;
use super::spec::UpstreamSpec;
use crate::access::PassthroughRules;
use crate::groups::GroupRepository;
use crate::hosted::{HostedRepository, Immutability, Untagged};
use crate::sources::Upstream;

/// The document, with `key`, `source` and `upstream_state` added.
pub(super) fn document(repo: &Repository) -> Value {
    let spec = repo.spec();
    let duration = |d: std::time::Duration| humantime::format_duration(d).to_string();
    let mut document = json!({
        "key": spec.key,
        "source": repo.source().as_str(),
        "kind": "proxy",
        "tag_ttl": duration(spec.tag_ttl),
        "stale_while_revalidate": duration(spec.stale_while_revalidate),
        "stale_if_error": duration(spec.stale_if_error),
        "stale_if_denied": duration(spec.stale_if_denied),
        "hosts": spec.hosts,
        "listen": spec.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "immutable_tags": spec.document.get("immutable_tags").cloned().unwrap_or_else(|| json!([])),
        "fill_on_range": spec.fill_on_range.to_string(),
        "foreign_layers": spec.foreign_layers.patterns().collect::<Vec<_>>(),
        "strategy": spec.strategy.as_str(),
        "referrers": spec.referrers.as_str(),
        "health_check": spec.health_check.to_string(),
    });
    document["upstream_state"] = repo.sources().iter().map(|upstream| state(upstream)).collect();
    if let Some(limits) = spec.document.get("limits").filter(|limits| limits.is_object()) {
        document["limits"] = limits.clone();
    }
    let fields = document.as_object_mut().expect("it was just made as an object");
    if spec.document.get("upstreams").is_some_and(|several| !several.is_null()) {
        let several = std::iter::once(&spec.upstream).chain(&spec.mirrors).enumerate();
        let shown = several.map(|(index, upstream)| {
            let mut entry = own(upstream, written_auth(&spec.document, index));
            entry.insert("url".into(), shown_url(upstream));
            Value::Object(entry)
        });
        fields.insert("upstreams".into(), shown.collect());
    } else {
        fields.insert("upstream".into(), shown_url(&spec.upstream));
        fields.extend(own(&spec.upstream, spec.document.get("auth")));
    }
    if let Some(PassthroughRules { grant_ttl, public_ttl, grace }) = spec.passthrough {
        fields.insert("auth".into(), "passthrough".into());
        let times = [("grant_ttl", grant_ttl), ("public_ttl", public_ttl), ("grace", grace)];
        let times: Map<_, _> = times.into_iter().map(|(name, time)| (name.to_owned(), duration(time).into())).collect();
        fields.insert("passthrough".into(), times.into());
    }
    document
}

/// The document of a hosted repository, with `key` and `source` added.
pub(super) fn hosted(repo: &HostedRepository) -> Value {
    let spec = repo.spec();
    json!({
        "key": spec.key,
        "source": repo.source().as_str(),
        "kind": "hosted",
        "push": spec.push.as_str(),
        "push_limits": {
            "manifest": spec.limits.manifest_bytes,
            "layers": spec.limits.layers,
            "children": spec.limits.children,
            "blob": spec.limits.blob_bytes,
            "staged": spec.limits.staged_bytes,
            "sessions": spec.limits.sessions,
            "session_ttl": humantime::format_duration(spec.limits.session_ttl).to_string(),
        },
        "gc": spec.untagged.map_or_else(|| json!({}), |untagged| json!({ "delete_untagged": untagged == Untagged::Delete })),
        "immutable_tags": spec.document.get("immutable_tags").cloned().unwrap_or_else(|| json!([])),
        "channels": spec.document.get("channels").cloned().unwrap_or_else(|| json!({})),
        "retention": spec.document.get("retention").cloned().unwrap_or_default(),
        "promote": spec.document.get("promote").cloned().unwrap_or_else(|| json!([])),
        "immutable": spec.immutability == Immutability::Whole,
        "hosts": spec.hosts,
        "listen": spec.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The document of a group, with `key` and `source` added.
pub(super) fn group(repo: &GroupRepository) -> Value {
    let spec = repo.spec();
    let written = |field: &str| spec.document.get(field).filter(|value| value.is_object()).cloned();
    json!({
        "key": spec.key,
        "source": repo.source().as_str(),
        "kind": "group",
        "members": spec.members,
        "push_to": spec.push_to.map(|index| &spec.members[index]),
        "names": spec.names.as_str(),
        "name_ttl": humantime::format_duration(spec.name_ttl).to_string(),
        "pin": written("pin").unwrap_or_else(|| json!({})),
        "routes": written("routes").unwrap_or_else(|| json!({})),
        "hosts": spec.hosts,
        "listen": spec.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What is known of one upstream at the moment.
fn state(upstream: &Upstream) -> Value {
    let (latency, error_rate) = upstream.latency_and_error_rate();
    let check = upstream.health().last();
    json!({
        "upstream": &**upstream.address(),
        "role": upstream.role().as_str(),
        "latency_ms": latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        "error_rate": (error_rate * 1000.0).round() / 1000.0,
        "checked_seconds_ago": check.as_ref().map(|check| check.at.elapsed().as_secs()),
        "up": check.as_ref().map(|check| check.failed.is_none()),
        "problem": check.and_then(|check| check.failed).map(|why| why.to_string()),
    })
}

fn shown_url(upstream: &UpstreamSpec) -> Value {
    upstream.url.as_str().trim_end_matches('/').into()
}

/// What belongs to one upstream.
fn own(upstream: &UpstreamSpec, auth: Option<&Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("internal".into(), matches!(upstream.reach, Reach::Internal).into());
    fields.insert("token_hosts".into(), json!(upstream.token_hosts));
    fields.insert("profile".into(), upstream.profile.key.into());
    fields.insert("library_prefix".into(), upstream.library_prefix.into());
    let network = network(&upstream.network);
    if !network.is_empty() {
        fields.insert("network".into(), network.into());
    }
    if let Some(auth) = auth.and_then(super::document::auth::view) {
        fields.insert("auth".into(), auth);
    }
    fields
}

/// What is set of the way to the upstream; of the proxy's login, that there is one.
fn network(spec: &NetworkSpec) -> Map<String, Value> {
    let wait = |wait: Option<std::time::Duration>| wait.map(|d| humantime::format_duration(d).to_string().into());
    let proxy = spec.proxies.as_ref().map(|proxies| match &proxies.https {
        Some(server) => server.url().as_str().trim_end_matches('/').into(),
        None => "direct".into(),
    });
    let login = spec.proxies.iter().flat_map(|proxies| &proxies.https).any(client::ProxyServer::has_login);
    let except = spec.proxies.as_ref().map(|proxies| &proxies.except).filter(|except| !except.is_empty());
    let fields: [(&str, Option<Value>); 11] = [
        ("proxy", proxy),
        ("has_proxy_login", login.then_some(true.into())),
        ("no_proxy", except.map(|except| json!(except))),
        ("files", (!spec.files.is_empty()).then(|| json!(spec.files))),
        ("skip_tls_verify", (spec.verification == Verification::Skipped).then_some(true.into())),
        ("bind", spec.bind.map(|address| address.to_string().into())),
        ("http", spec.http.map(|version| version.as_str().into())),
        ("connections", (spec.connections != Connections::default()).then(|| spec.connections.count().into())),
        ("connect_timeout", wait(spec.connect_timeout)),
        ("first_byte_timeout", wait(spec.first_byte_timeout)),
        ("idle_timeout", wait(spec.idle_timeout)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// `auth` as written for the upstream at `index`: in its own object; for the first, also beside `upstreams`.
fn written_auth(document: &Value, index: usize) -> Option<&Value> {
    let several = document.get("upstreams")?;
    let entry = several.get(index).or_else(|| (index == 0).then_some(several));
    entry.and_then(|entry| entry.get("auth")).or_else(|| document.get("auth").filter(|_| index == 0))
}
