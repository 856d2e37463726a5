//! The `repos:` section: each entry is a repository document, read by the registry; here it gets its line numbers.
//!
//! Also what only a file can say: `cache.fill_on_range` as the default, and that the files it names are there.
//! Must not know what a repository's fields mean. Invariant: passwords leave this file only inside a specification.

use std::collections::HashMap;
use std::net::SocketAddr;

use oci::RepoKey;
use registry::{Builtins, ConfiguredRepository, FieldProblem, Provenance};
use serde_json::Value;

use super::check::veil;
use super::document::{Entry, Node, NodeValue};
use super::files_of_auth;
use super::problem::{Origin, Problem};
use super::suggest::did_you_mean;

/// Reads every entry of `repos`. What is wrong is added to `problems`; entries without problems come back.
pub(crate) fn read(
    document: &Node,
    fill_on_range: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Vec<ConfiguredRepository> {
    let Some(Entry { node: Node { value: NodeValue::Map(entries), .. }, .. }) = document.get("repos") else {
        return Vec::new();
    };
    entries.iter().filter_map(|entry| repository(entry, fill_on_range, problems)).collect()
}

fn repository(entry: &Entry, fill_on_range: Option<&str>, problems: &mut Vec<Problem>) -> Option<ConfiguredRepository> {
    let path = format!("repos.{}", entry.key);
    let key =
        entry.key.parse::<RepoKey>().map_err(|e| problems.push(Problem::new(entry.origin, &path, e.to_string()))).ok();
    let mut document = entry.node.to_json();
    // What the cache does is no business of a repository that is none.
    let is_cache = !matches!(document.get("kind").and_then(Value::as_str), Some("hosted" | "group"));
    if let (Some(default), Value::Object(fields)) = (fill_on_range.filter(|_| is_cache), &mut document) {
        fields.entry("fill_on_range").or_insert_with(|| default.into());
    }
    // A key that is wrong must not hide what else is wrong with the entry.
    let stand_in = || "x".parse::<RepoKey>().expect("one letter is a repository key");
    let read = ConfiguredRepository::from_document(key.clone().unwrap_or_else(stand_in), &document, Provenance::File);
    let files = files_of_auth::check(&document);
    let complete = files.is_empty();
    let (spec, found) = match read {
        Ok(spec) => (Some(spec), Vec::new()),
        Err(found) => (None, found),
    };
    problems.extend(found.into_iter().chain(files).map(|p| problem(entry, &path, &p.path, p.message)));
    spec.filter(|_| key.is_some() && complete)
}

fn place(entry: &Entry, path: &str) -> Origin {
    if path.is_empty() || entry.node.get(path.split(['.', '[']).next().unwrap_or(path)).is_none() {
        return entry.origin;
    }
    entry.node.origin_of(path)
}

fn problem(entry: &Entry, prefix: &str, path: &str, message: String) -> Problem {
    let full = if path.is_empty() { prefix.to_owned() } else { format!("{prefix}.{path}") };
    let (section, name) = path.rsplit_once('.').map_or(("", path), |(section, name)| (section, name));
    // `auth[1].ecr` has the fields of `auth.ecr`.
    let section: String = section.split('.').filter_map(|part| part.split('[').next()).collect::<Vec<_>>().join(".");
    let known = registry::FIELDS.iter().map(|f| f.path).filter_map(|known| match section.as_str() {
        "" => known.split('.').next(),
        section => known.strip_prefix(section)?.strip_prefix('.'),
    });
    let hint = message.starts_with("unknown field").then(|| did_you_mean(name, known)).flatten();
    Problem::new(place(entry, path), full, veil(&entry.node, message)).with_hint(hint)
}

/// Finds what is wrong with the repositories that others name: members of groups, and where promotions come from.
pub(crate) fn check_references(
    specs: &[ConfiguredRepository],
    builtins: Builtins,
    document: &Node,
    problems: &mut Vec<Problem>,
) {
    for (key, FieldProblem { path, message }) in registry::check_references(specs, builtins) {
        // One that is not among these has a problem of its own, which was told.
        let written = |member: &str| document.get("repos").is_some_and(|repos| repos.node.get(member).is_some());
        let is_told = message.strip_prefix("there is no repository '").and_then(|rest| rest.strip_suffix('\''));
        if is_told.is_some_and(written) {
            continue;
        }
        let path = format!("repos.{key}.{path}");
        problems.push(Problem::new(document.origin_of(&path), path, message));
    }
}

/// Finds host names and listeners that two repositories claim, and listeners that are also the server's own.
pub(crate) fn check_claims(
    specs: &[ConfiguredRepository],
    listen: &[SocketAddr],
    document: &Node,
    problems: &mut Vec<Problem>,
) {
    let mut hosts: HashMap<String, &str> = HashMap::new();
    let mut ports: HashMap<u16, &str> = HashMap::new();
    for spec in specs {
        let key: &str = spec.key().as_ref();
        let mut claim = |field: &str, index: usize, other: Option<String>| {
            let Some(other) = other else { return };
            let path = format!("repos.{key}.{field}[{index}]");
            problems.push(Problem::new(document.origin_of(&path), path, other));
        };
        for (index, host) in spec.hosts().iter().enumerate() {
            let taken = hosts.insert(host.to_string(), key).filter(|other| *other != key);
            claim(
                "hosts",
                index,
                taken.map(|other| format!("'{host}' is claimed by {other} too; a host name has one repository")),
            );
        }
        for (index, address) in spec.listen().iter().enumerate() {
            let port = address.port();
            let taken = ports.insert(port, key).filter(|other| *other != key);
            claim(
                "listen",
                index,
                taken.map(|other| format!("port {port} is claimed by {other} too; a port has one repository")),
            );
            let own = listen.iter().any(|own| own.port() == port);
            claim(
                "listen",
                index,
                own.then(|| format!("port {port} is one the server listens on for all repositories")),
            );
        }
    }
}

/// Finds repositories whose pushes would be promoted back to them.
pub(crate) fn check_workflows(specs: &[ConfiguredRepository], document: &Node, problems: &mut Vec<Problem>) {
    let promoted: Vec<_> = specs.iter().map(|spec| (spec.key(), spec.takes_from())).collect();
    if let Some(key) = registry::workflow_loop(&promoted) {
        let path = format!("repos.{key}.promote");
        let message = format!("pushes to '{key}' would be promoted back to it; set run: hand on one of them");
        problems.push(Problem::new(document.origin_of(&path), path, message));
    }
}
