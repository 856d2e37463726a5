//! The fields of one registry: the table that drives checker, reference and completion, and how each kind is read.
//!
//! Must not know what fields are for. Invariant: a value that was read is good by itself; what several of them say together
//! is the business of `registries`.

use config_document::document::{Node, NodeValue};
use config_document::suggest::did_you_mean;
use url::Url;

use crate::config::sealing;

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

/// A mirror's URL, if it is one.
pub(crate) fn mirror(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().map_err(|error| format!("'{text}' is not a URL: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain && url.has_host() && url.query().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err("must be a plain URL, like http://127.0.0.1:5000, without user, password or query".to_owned())
    }
}

/// A scalar as text: numbers as they are written.
pub(crate) fn scalar(node: &Node) -> Result<String, String> {
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
    pub(super) fn read(self, node: &Node) -> Result<Vec<String>, String> {
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
