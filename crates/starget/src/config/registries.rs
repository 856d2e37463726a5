//! The section `registries`: what holds for one registry or mirror, by its `host[:port]`.
//!
//! Must not know the network. Invariants: one table of fields drives the checker, the reference and completion; what is
//! known of one host is used for that host only.

mod login;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config_document::document::{Entry, Node, NodeValue};
use config_document::problem::Problem;
use config_document::suggest::did_you_mean;
use oci::RegistryHost;
use url::Url;

pub(crate) use login::{Login, SecretKind, place as secret_place};

use super::place::key_file;
use super::sealing;
use crate::settings::MirrorForm;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Text,
    Path,
    Urls,
    Choice(&'static [&'static str]),
    Sealed,
}

/// One field of a registry.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its path below the registry.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) meaning: &'static str,
}

const fn field(path: &'static str, kind: Kind, meaning: &'static str) -> Field {
    Field { path, kind, meaning }
}

/// All of them.
pub(crate) const FIELDS: &[Field] = &[
    field(
        "auth.type",
        Kind::Choice(&["basic", "token", "identity_token", "helper", "none"]),
        "How to log in. Without `auth`: as docker's and podman's files say. `none`: without a login, whatever they say.",
    ),
    field("auth.username", Kind::Text, "For `basic`: the user name."),
    field("auth.password", Kind::Sealed, "For `basic`: the password, sealed; `starget config login` writes it."),
    field("auth.password_file", Kind::Path, "For `basic`, instead of `password`: a file with the password."),
    field(
        "auth.token",
        Kind::Sealed,
        "For `token` and `identity_token`: the token, sealed; `starget config login` writes it.",
    ),
    field("auth.token_file", Kind::Path, "For `token`, instead of `token`: a file with the token."),
    field(
        "auth.helper",
        Kind::Text,
        "For `helper`: a docker credential helper, by its path or what follows `docker-credential-`.",
    ),
    field("mirrors", Kind::Urls, "Asked first for this registry's images, in this order."),
    field("mirror_form", Kind::Choice(&["path", "bare"]), "How these mirrors are asked (`--mirror-form`)."),
    field("plain_http", Kind::Flag, "Speak plain HTTP with it."),
    field("insecure", Kind::Flag, "Do not check its certificate."),
    field("ca", Kind::Path, "Certificates of authorities to accept for it besides the system's, PEM."),
];

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
                    let checked = check_one(entry, &host, problems);
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

/// A mirror's URL, if it is one.
pub(super) fn mirror(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().map_err(|error| format!("'{text}' is not a URL: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    match plain && url.has_host() && url.query().is_none() && url.fragment().is_none() {
        true => Ok(url),
        false => Err("must be a plain URL, like http://127.0.0.1:5000, without user, password or query".to_owned()),
    }
}

/// A scalar as text: numbers as they are written.
pub(super) fn scalar(node: &Node) -> Result<String, String> {
    match &node.value {
        NodeValue::Text(text) => Ok(text.clone()),
        NodeValue::Number(number) => Ok(number.to_string()),
        other @ (NodeValue::Null | NodeValue::Bool(_) | NodeValue::List(_) | NodeValue::Map(_)) => {
            Err(format!("must be a single value, not {}", other.describe()))
        }
    }
}

impl Kind {
    /// In the words of the reference.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Urls => "URL or list of URLs".to_owned(),
            Self::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Sealed => "sealed text".to_owned(),
        }
    }

    /// What is written, as texts.
    fn read(self, node: &Node) -> Result<Vec<String>, String> {
        let one = || scalar(node).map(|text| vec![text]);
        match (self, &node.value) {
            (_, NodeValue::Null) => Ok(Vec::new()),
            (Self::Flag, NodeValue::Bool(on)) => Ok(vec![on.to_string()]),
            (Self::Flag, other) => Err(format!("must be true or false, not {}", other.describe())),
            (Self::Text | Self::Path, _) => one(),
            (Self::Urls, NodeValue::List(items)) => {
                let texts = items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
                texts.iter().try_for_each(|text| mirror(text).map(drop)).map(|()| texts)
            }
            (Self::Urls, _) => one().and_then(|texts| mirror(&texts[0]).map(|_| texts)),
            (Self::Choice(words), _) => {
                let text = scalar(node)?;
                let hint = || did_you_mean(&text, words.iter().copied()).map(|hint| format!("; {hint}"));
                if words.contains(&text.as_str()) {
                    Ok(vec![text])
                } else {
                    Err(format!("must be {}{}", words.join(" or "), hint().unwrap_or_default()))
                }
            }
            (Self::Sealed, _) => match one()? {
                texts if sealing::is_sealed(&texts[0]) => Ok(texts),
                // The text is not quoted: it may be the secret itself.
                _ => Err("is not a sealed secret; write it with `starget config login <host>`".to_owned()),
            },
        }
    }
}

/// The good values of one registry, by the paths of their fields.
struct Values {
    texts: BTreeMap<&'static str, Vec<String>>,
}

impl Values {
    fn one(&self, path: &str) -> Option<&str> {
        self.texts.get(path)?.first().map(String::as_str)
    }

    fn is_on(&self, path: &str) -> bool {
        self.one(path) == Some("true")
    }
}

fn check_one(entry: &Entry, host: &str, problems: &mut Vec<Problem>) -> RegistryEntry {
    let path = format!("registries.{}", entry.key);
    let before = problems.len();
    let mut values = Values { texts: BTreeMap::new() };
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
fn collect(node: &Node, path: &str, prefix: &str, values: &mut Values, problems: &mut Vec<Problem>) {
    let below = || FIELDS.iter().filter_map(|field| field.path.strip_prefix(prefix)).map(first_part);
    let expected: Vec<&str> = below().collect();
    for entry in super::entries(node, path, &expected, problems) {
        let full = format!("{path}.{}", entry.key);
        let name = format!("{prefix}{}", entry.key);
        if let Some(field) = FIELDS.iter().find(|field| field.path == name) {
            match field.kind.read(&entry.node) {
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
