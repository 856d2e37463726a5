//! A repository as written: the JSON object of `/api/repos`, of the configuration's `repos:` entries and of the
//! metadata database are one shape, read here.
//!
//! Must not know where the object came from. Invariant: all problems are reported at once, each with its field.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use client::{Credential, Reach, Secret};
use oci::{RegistryHost, RepoKey};
use serde_json::{Map, Value};
use url::Url;

use super::builtin;
use super::pattern::TagPattern;
use super::spec::{FillOnRange, RepositorySpec, parse_duration};

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path of the field inside the document: `auth.password`, `hosts[1]`; empty for the document itself.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
}

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
        "What the repository is. This version knows `proxy`: a cache in front of an upstream.",
    ),
    doc(
        "upstream",
        "URL",
        "",
        "The registry to pull from: scheme, host and port. A path is put before every name (`https://host/docker-remote`), unless it holds a segment `v2` and so says where the API is. Required.",
    ),
    doc("auth.username", "string", "", "User name for the upstream. Needs `auth.password`."),
    doc("auth.password", "string", "", "Password or access token for the upstream. Never shown again."),
    doc("tag_ttl", "duration", "5m", "How long a tag is trusted without asking upstream. `0s` asks each time."),
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
        "Tags that never move (`*` and `?`): asked for once, then never again.",
    ),
    doc(
        "fill_on_range",
        "string",
        "after:0.5",
        "When a ranged request on a cold blob fills all of it: `none`, `background` or `after:<fraction>`.",
    ),
    doc("token_hosts", "list of hosts", "[]", "Further hosts that may mint tokens for this upstream's credentials."),
    doc("library_prefix", "boolean", "true for Docker Hub", "Puts `library/` before names of one segment."),
];

/// Reads fields out of one object and collects what is wrong.
struct Reader<'a> {
    object: &'a Map<String, Value>,
    problems: Vec<FieldProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(FieldProblem { path: path.to_owned(), message: message.into() });
    }

    fn text(&mut self, path: &'static str) -> Option<String> {
        match self.object.get(path) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.problem(path, "must be a string");
                None
            }
        }
    }

    fn flag(&mut self, path: &'static str) -> Option<bool> {
        match self.object.get(path) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.problem(path, "must be true or false");
                None
            }
        }
    }

    fn parsed<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(path)?;
        parse(&text).map_err(|message| self.problem(path, message)).ok()
    }

    fn duration(&mut self, path: &'static str, default: Duration) -> Duration {
        self.parsed(path, parse_duration).unwrap_or(default)
    }

    fn list<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items: Vec<Value> = match self.object.get(path) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(single @ Value::String(_)) => vec![single.clone()],
            Some(_) => {
                self.problem(path, "must be a list of strings");
                return Vec::new();
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().ok_or_else(|| "must be a string".to_owned()).and_then(&parse) {
                Ok(value) => parsed.push(value),
                Err(message) => self.problem(&format!("{path}[{index}]"), message),
            }
        }
        parsed
    }

    fn unknown_fields(&mut self) {
        let known =
            ["key", "kind", "upstream", "auth", "tag_ttl", "stale_if_error", "stale_if_denied", "internal", "hosts"];
        let more = ["listen", "immutable_tags", "fill_on_range", "token_hosts", "library_prefix"];
        let strangers: Vec<String> = self
            .object
            .keys()
            .filter(|k| !known.contains(&k.as_str()) && !more.contains(&k.as_str()))
            .cloned()
            .collect();
        for name in strangers {
            let all = known.iter().chain(&more).copied().collect::<Vec<_>>().join(", ");
            self.problem(&name, format!("unknown field; known are {all}"));
        }
    }

    fn kind(&mut self) {
        match self.text("kind").as_deref() {
            None | Some("proxy") => {}
            Some(planned @ ("hosted" | "group")) => {
                self.problem("kind", format!("'{planned}' repositories are not in this version; use proxy"));
            }
            Some(other) => self.problem("kind", format!("'{other}' is not a kind of repository; use proxy")),
        }
    }

    fn auth(&mut self) -> Option<Credential> {
        let auth = match self.object.get("auth") {
            None | Some(Value::Null) => return None,
            Some(Value::Object(auth)) => auth,
            Some(_) => {
                self.problem("auth", "must be an object with username and password");
                return None;
            }
        };
        let mut inner = Reader { object: auth, problems: Vec::new() };
        let (username, password) = (inner.text("username"), inner.text("password"));
        for name in auth.keys().filter(|k| *k != "username" && *k != "password") {
            inner.problems.push(FieldProblem {
                path: name.clone(),
                message: "unknown field; known are username, password".into(),
            });
        }
        if username.as_deref().is_none_or(str::is_empty) {
            inner.problem("username", "required when auth is given");
        }
        if password.is_none() {
            inner.problem("password", "required when auth is given");
        }
        let bad = !inner.problems.is_empty();
        self.problems
            .extend(inner.problems.into_iter().map(|p| FieldProblem { path: format!("auth.{}", p.path), ..p }));
        match (username, password) {
            (Some(username), Some(password)) if !bad => {
                Some(Credential::Basic { username, password: Secret::new(password) })
            }
            _ => None,
        }
    }

    fn upstream(&mut self, reach: Reach) -> Option<Url> {
        if self.object.get("upstream").is_none_or(Value::is_null) {
            self.problem(
                "upstream",
                "required: the URL of the registry to pull from, like https://registry-1.docker.io",
            );
            return None;
        }
        let url = self.parsed("upstream", parse_upstream)?;
        if matches!(reach, Reach::PublicOnly) && is_private(&url) {
            self.problem("upstream", "is a private or loopback address; say \"internal\": true if that is meant");
        }
        Some(url)
    }
}

/// Reads an upstream's URL: http or https, a host, no credentials, query or fragment.
fn parse_upstream(text: &str) -> Result<Url, String> {
    let example = "write something like https://ghcr.io";
    let url = Url::parse(text).map_err(|e| format!("'{text}' is not a URL ({e}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("scheme '{}' is not supported; {example}", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("has no host; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; put them into auth.username and auth.password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("must not have a query or fragment; {example}"));
    }
    Ok(url)
}

/// Whether the URL names a private address outright. Names are checked again when they resolve.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => client::is_private_address(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => client::is_private_address(IpAddr::V6(ip)),
        None => false,
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is not an address; write 127.0.0.1:5001 or [::1]:5001"))
}

impl RepositorySpec {
    /// Reads and checks a repository document.
    ///
    /// # Errors
    /// Every problem found, each with the path of its field.
    pub fn from_document(key: RepoKey, document: &Value) -> Result<Self, Vec<FieldProblem>> {
        let Some(object) = document.as_object() else {
            return Err(vec![FieldProblem { path: String::new(), message: "a repository must be an object".into() }]);
        };
        let mut read = Reader { object, problems: Vec::new() };
        read.unknown_fields();
        read.kind();
        let reach = if read.flag("internal").unwrap_or(false) { Reach::Internal } else { Reach::PublicOnly };
        let upstream = read.upstream(reach);
        let credential = read.auth();
        let hub = upstream.as_ref().is_some_and(builtin::is_docker_hub);
        // Read before anything is decided, so that a bad upstream does not hide what else is wrong.
        let tag_ttl = read.duration("tag_ttl", Duration::from_mins(5));
        let stale_if_error = read.duration("stale_if_error", Duration::from_hours(30 * 24));
        let stale_if_denied = read.duration("stale_if_denied", Duration::from_hours(24));
        let hosts = read.list("hosts", |t| t.parse::<RegistryHost>().map_err(|e| e.to_string()));
        let listen = read.list("listen", parse_listen);
        let immutable_tags = read.list("immutable_tags", TagPattern::parse);
        let fill_on_range = read.parsed("fill_on_range", FillOnRange::parse).unwrap_or_default();
        let token_hosts = read.list("token_hosts", |t| t.parse::<RegistryHost>().map_err(|e| e.to_string()));
        let library_prefix = read.flag("library_prefix").unwrap_or(hub);
        let document = document.clone();
        match upstream {
            Some(upstream) if read.problems.is_empty() => Ok(Self {
                key,
                upstream,
                credential,
                tag_ttl,
                stale_if_error,
                stale_if_denied,
                reach,
                hosts,
                listen,
                immutable_tags,
                fill_on_range,
                token_hosts,
                library_prefix,
                document,
            }),
            _ => Err(read.problems),
        }
    }
}
