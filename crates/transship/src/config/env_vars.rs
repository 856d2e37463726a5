//! Every environment variable this program reads, in one list.
//!
//! The list makes the reference, and the checker takes the names from here. Must not know flags or files.
//! Invariants: the environment is read once, at start; an empty variable counts as unset.

use std::collections::BTreeMap;

use super::suggest;

/// A variable and what it means.
pub(crate) struct EnvVar {
    /// Its name.
    pub(crate) name: &'static str,
    /// The configuration field it sets, if it sets one.
    pub(crate) field: Option<&'static str>,
    /// What it means, one sentence.
    pub(crate) meaning: &'static str,
}

const fn sets(name: &'static str, field: &'static str, meaning: &'static str) -> EnvVar {
    EnvVar { name, field: Some(field), meaning }
}

/// The configuration file to read.
pub(crate) const CONFIG: &str = "TRANSSHIP_CONFIG";
/// The admin token itself.
pub(crate) const ADMIN_TOKEN: &str = "TRANSSHIP_ADMIN_TOKEN";
/// The keys for stored credentials themselves.
pub(crate) const SECRETS_KEY: &str = "TRANSSHIP_SECRETS_KEY";

/// The running server that commands ask.
pub(crate) const SERVER: &str = "TRANSSHIP_SERVER";
/// The user name of `transship check`.
pub(crate) const CHECK_USERNAME: &str = "TRANSSHIP_CHECK_USERNAME";
/// The password of `transship check`.
pub(crate) const CHECK_PASSWORD: &str = "TRANSSHIP_CHECK_PASSWORD";

/// The user name of transfers.
pub(crate) const USERNAME: &str = "TRANSSHIP_USERNAME";
/// The password of transfers.
pub(crate) const PASSWORD: &str = "TRANSSHIP_PASSWORD";
/// The user name of `transship copy` at its source.
pub(crate) const SRC_USERNAME: &str = "TRANSSHIP_SRC_USERNAME";
/// The password of `transship copy` at its source.
pub(crate) const SRC_PASSWORD: &str = "TRANSSHIP_SRC_PASSWORD";

/// All of them.
pub(crate) const ALL: &[EnvVar] = &[
    EnvVar { name: CONFIG, field: None, meaning: "The configuration file to read, as `--config`." },
    sets("TRANSSHIP_LISTEN", "listen", "Addresses to listen on, separated by commas."),
    sets("TRANSSHIP_PUBLIC_URL", "public_url", "Where clients reach this server."),
    sets("TRANSSHIP_CACHE_DIR", "cache_dir", "The folder that holds everything."),
    sets("TRANSSHIP_CACHE_MAX_SIZE", "cache.max_size", "The cache's budget."),
    sets("TRANSSHIP_LOG_LEVEL", "log.level", "How much is logged."),
    sets("TRANSSHIP_TRACE_UPSTREAM", "log.trace_upstream", "Whether headers of upstream exchanges are logged."),
    sets("TRANSSHIP_LOG_FORMAT", "log.format", "The form of the log."),
    sets("TRANSSHIP_OTLP_ENDPOINT", "tracing.otlp_endpoint", "Where traces are sent."),
    sets("TRANSSHIP_TLS_CERT", "tls.cert", "The certificate chain, PEM."),
    sets("TRANSSHIP_TLS_KEY", "tls.key", "The private key, PEM."),
    sets("TRANSSHIP_SHUTDOWN_TIMEOUT", "shutdown_timeout", "How long a stop may take."),
    sets("TRANSSHIP_ADMIN_TOKEN_FILE", "admin.token_file", "The file that holds the admin token."),
    EnvVar {
        name: ADMIN_TOKEN,
        field: None,
        meaning: "The admin token itself, at least 16 characters; nothing is then read from or written to a token file.",
    },
    sets("TRANSSHIP_SECRETS_KEY_FILE", "secrets.key_file", "The file that holds the keys for stored credentials."),
    EnvVar {
        name: SECRETS_KEY,
        field: None,
        meaning: "The key for stored credentials itself, 64 hexadecimal digits; several separated by commas, of which the first seals and the others open what they sealed. No key file is then read or written.",
    },
    EnvVar {
        name: SERVER,
        field: None,
        meaning: "The running server that `transship upstream check`, `explain`, `push`, `pull`, `copy`, `export` and `import` ask, as `--server`.",
    },
    EnvVar {
        name: USERNAME,
        field: None,
        meaning: "The user name of `transship push`, `pull`, `copy` (at the target), `export` and `import`, as `--username`.",
    },
    EnvVar { name: PASSWORD, field: None, meaning: "The password that belongs to it." },
    EnvVar {
        name: SRC_USERNAME,
        field: None,
        meaning: "The user name of `transship copy` at the source, as `--src-username`.",
    },
    EnvVar { name: SRC_PASSWORD, field: None, meaning: "The password that belongs to it." },
    EnvVar { name: CHECK_USERNAME, field: None, meaning: "The user name of `transship check`, as `--username`." },
    EnvVar { name: CHECK_PASSWORD, field: None, meaning: "The password of `transship check`." },
];

/// The process's environment as it was at start.
#[derive(Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the environment of this process. Variables that are not UTF-8 are left out: none of ours can be.
    pub(crate) fn of_process() -> Self {
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: pairs.collect() }
    }

    /// An environment of these variables.
    #[cfg(test)]
    pub(crate) fn from_pairs<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self { variables: pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The value of `name`; none when it is unset or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables that look like a misspelt one of ours, each with the one that was probably meant. Others with our
    /// prefix are no mistake: Kubernetes sets `TRANSSHIP_PORT` and its like for a Service named transship.
    pub(crate) fn misspelt(&self) -> Vec<(&str, &'static str)> {
        self.variables
            .keys()
            .filter(|name| name.starts_with("TRANSSHIP_") && ALL.iter().all(|known| known.name != name.as_str()))
            .filter_map(|name| {
                let rest = name.strip_prefix("TRANSSHIP_")?;
                let near =
                    suggest::nearest(rest, ALL.iter().filter_map(|known| known.name.strip_prefix("TRANSSHIP_")))?;
                ALL.iter().find(|known| known.name.ends_with(near)).map(|known| (name.as_str(), known.name))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset() {
        let environment = Environment::from_pairs([("TRANSSHIP_LISTEN", ""), ("TRANSSHIP_CACHE_DIR", "/c")]);
        assert_eq!(environment.get("TRANSSHIP_LISTEN"), None);
        assert_eq!(environment.get("TRANSSHIP_CACHE_DIR"), Some("/c"));
    }

    #[test]
    fn slips_are_found_and_what_kubernetes_sets_is_not_one() {
        let environment = Environment::from_pairs([
            ("TRANSSHIP_LOGLEVEL", "debug"),
            ("TRANSSHIP_SERVICE_HOST", "10.0.0.1"),
            ("TRANSSHIP_PORT", "tcp://10.0.0.1:5000"),
            ("TRANSSHIP_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
            ("TRANSSHIP_LISTEN", "127.0.0.1:1"),
        ]);
        assert_eq!(environment.misspelt(), [("TRANSSHIP_LOGLEVEL", "TRANSSHIP_LOG_LEVEL")]);
    }
}
