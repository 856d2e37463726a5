//! The section `registries`: what holds for one registry or mirror, by its `host[:port]`.
//!
//! Must not know the network. Invariants: one table of fields drives the checker, the reference and completion; what is
//! known of one host is used for that host only.

mod field;
mod login;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config_document::document::{Entry, Node};
use config_document::problem::Problem;
use config_document::suggest::did_you_mean;
use oci::RegistryHost;
use url::Url;

pub(crate) use field::{FIELDS, Field, Kind, mirror, scalar};
pub(crate) use login::{Login, SecretKind, place as secret_place};

use super::place::{absolute, key_file};
use crate::settings::MirrorForm;

/// What is known of one registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistryEntry {
    pub(crate) login: Option<Login>,
    pub(crate) mirrors: Vec<Url>,
    pub(crate) mirror_form: Option<MirrorForm>,
    pub(crate) plain_http: bool,
    pub(crate) insecure: bool,
    pub(crate) ca: Option<PathBuf>,
}

/// All registries of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registries {
    entries: BTreeMap<String, RegistryEntry>,
    key_file: PathBuf,
    /// Whether the mirrors of this run are those of `defaults`: then a registry's own win over them.
    pub(crate) mirrors_are_defaults: bool,
}

impl Registries {
    /// What is known of this `host[:port]`.
    pub(crate) fn get(&self, host: &str) -> Option<&RegistryEntry> {
        self.entries.get(host)
    }

    /// The hosts, in order.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The file that has the key of the sealed secrets.
    pub(crate) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// The good entries of the section.
    pub(super) fn check(node: &Node, file: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut entries = BTreeMap::new();
        for entry in super::entries(node, "registries", &["<host>: …"], problems) {
            match host(&entry.key) {
                Ok(host) => {
                    let checked = check_one(entry, &host, file, problems);
                    if entries.insert(host.clone(), checked).is_some() {
                        let message = format!("{host} is there under another of its names");
                        problems.push(Problem::new(entry.origin, format!("registries.{}", entry.key), message));
                    }
                }
                Err(message) => {
                    problems.push(Problem::new(entry.origin, format!("registries.{}", entry.key), message));
                }
            }
        }
        Self { entries, key_file: key_file(file), mirrors_are_defaults: false }
    }
}

/// The name that a registry has here: lower case, and `docker.io` for all names of Docker Hub.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let wrong = |why: String| format!("'{text}' is not a registry: {why}; write host or host:port, like ghcr.io");
    let host = text.parse::<RegistryHost>().map_err(|error| wrong(error.to_string()))?;
    Ok(crate::image::common_name(host).as_ref().to_owned())
}

/// Whether a field of this name may stand at a registry.
pub(super) fn is_field(word: &str) -> bool {
    FIELDS.iter().any(|field| field.path == word) || word == "auth"
}

/// A path in the file, `registries.ghcr.io.auth.username`, in its parts. Hosts have dots, so the field is read from the end.
pub(crate) fn split(path: &str) -> Option<(String, &'static Field)> {
    let rest = path.strip_prefix("registries.")?;
    let of = |field: &'static Field| Some((rest.strip_suffix(field.path)?.strip_suffix('.')?.to_owned(), field));
    FIELDS.iter().find_map(of).filter(|(host, _)| !host.is_empty())
}

/// The good values of one registry, by the paths of their fields.
struct Values<'f> {
    /// The configuration file.
    file: &'f Path,
    texts: BTreeMap<&'static str, Vec<String>>,
}

impl Values<'_> {
    fn one(&self, path: &str) -> Option<&str> {
        self.texts.get(path)?.first().map(String::as_str)
    }

    fn is_on(&self, path: &str) -> bool {
        self.one(path) == Some("true")
    }
}

fn check_one(entry: &Entry, host: &str, file: &Path, problems: &mut Vec<Problem>) -> RegistryEntry {
    let path = format!("registries.{}", entry.key);
    let before = problems.len();
    let mut values = Values { file, texts: BTreeMap::new() };
    collect(&entry.node, &path, "", &mut values, problems);
    let mut wrong = |field: &str, message: &str| {
        problems.push(Problem::new(entry.node.origin_of(field), format!("{path}.{field}"), message));
    };
    if values.is_on("plain_http") && (values.is_on("insecure") || values.one("ca").is_some()) {
        wrong("plain_http", "plain HTTP has no certificate: drop it, or `insecure` and `ca`");
    }
    if let Some(file) = values.one("ca").filter(|file| std::fs::File::open(file).is_err()) {
        wrong("ca", &format!("{file} cannot be read"));
    }
    let login = if before == problems.len() { login::read(&values, host, entry, &path, problems) } else { None };
    let mirrors = values.texts.get("mirrors").into_iter().flatten().filter_map(|text| mirror(text).ok()).collect();
    RegistryEntry {
        login,
        mirrors,
        mirror_form: values
            .one("mirror_form")
            .map(|word| if word == "bare" { MirrorForm::Bare } else { MirrorForm::Path }),
        plain_http: values.is_on("plain_http"),
        insecure: values.is_on("insecure"),
        ca: values.one("ca").map(PathBuf::from),
    }
}

/// Reads the fields below `prefix`.
fn collect(node: &Node, path: &str, prefix: &str, values: &mut Values<'_>, problems: &mut Vec<Problem>) {
    let below = || FIELDS.iter().filter_map(|field| field.path.strip_prefix(prefix)).map(first_part);
    let expected: Vec<&str> = below().collect();
    for entry in super::entries(node, path, &expected, problems) {
        let full = format!("{path}.{}", entry.key);
        let name = format!("{prefix}{}", entry.key);
        if let Some(field) = FIELDS.iter().find(|field| field.path == name) {
            match field.kind.read(&entry.node) {
                Ok(texts) if field.kind == Kind::Path => {
                    let paths = texts.iter().map(|path| absolute(path, values.file)).collect();
                    values.texts.insert(field.path, paths);
                }
                Ok(texts) => drop(values.texts.insert(field.path, texts)),
                Err(message) => problems.push(Problem::new(entry.origin, full, message)),
            }
        } else if FIELDS.iter().any(|field| field.path.starts_with(&format!("{name}."))) {
            collect(&entry.node, &full, &format!("{name}."), values, problems);
        } else {
            let hint = did_you_mean(&entry.key, expected.iter().copied());
            problems.push(Problem::new(entry.origin, full, "unknown field").with_hint(hint));
        }
    }
}

fn first_part(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
