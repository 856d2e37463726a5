//! Docker's `config.json`, also in the form that containers and podman give it (`auth.json`: keys with a path).
//!
//! Must not know how helpers are run. Invariants: an entry is used for the host it names and, when it names a path, for
//! what is below that path; nothing of the file is quoted in an error.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::file;
use super::ground::Ground;
use crate::basic::Credential;
use crate::json_object;
use crate::secret::Secret;

/// The names under which Docker Hub's entry may stand; docker itself writes `https://index.docker.io/v1/`.
const HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// What helpers know Docker Hub as.
const HUB_SERVER: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What the file says for one repository.
#[derive(Debug)]
pub(super) enum Match {
    /// The entry under this key.
    Entry(String, Credential),
    /// A helper, and the server to ask it for.
    Helper {
        name: String,
        server: String,
    },
    Nothing,
}

/// The server as helpers and docker know it.
pub(super) fn server(ground: &Ground) -> String {
    if HUB.contains(&ground.host()) { HUB_SERVER.to_owned() } else { ground.authority().to_owned() }
}

/// Finds what the file has for the repository (with what the upstream's URL puts before its name).
pub(super) async fn look_up(path: &Path, ground: &Ground, repository: Option<&str>) -> Result<Match, String> {
    let text = file::text(path).await?;
    let file: File = json_object::parse(text.as_bytes())
        .map_err(|why| format!("{} cannot be read as docker's config.json: {why}", path.display()))?;
    find(&file, ground, repository).map_err(|why| format!("{}: {why}", path.display()))
}

fn find(file: &File, ground: &Ground, repository: Option<&str>) -> Result<Match, String> {
    let registry = canonical(ground.authority());
    let helper = |name: &String| Match::Helper { name: name.clone(), server: server(ground) };
    for place in places(&registry, repository) {
        // The host's own helper goes before its entry, as docker has it; entries with a path have no helper.
        if place == registry
            && let Some(name) = file.helpers.iter().find(|(key, _)| canonical(key) == place).map(|(_, name)| name)
        {
            return Ok(helper(name));
        }
        for (key, entry) in file.auths.iter().filter(|(key, _)| canonical(key) == place) {
            let credential = entry.credential().map_err(|why| format!("the entry '{key}' {why}"))?;
            if let Some(credential) = credential {
                return Ok(Match::Entry(place, credential));
            }
        }
    }
    Ok(file.store.as_ref().filter(|store| !store.is_empty()).map_or(Match::Nothing, helper))
}

/// `host/a/b`, `host/a`, `host`.
fn places(registry: &str, repository: Option<&str>) -> Vec<String> {
    let mut place = repository.map_or_else(|| registry.to_owned(), |name| format!("{registry}/{name}"));
    let mut places = vec![place.clone()];
    while let Some(end) = place.rfind('/') {
        place.truncate(end);
        places.push(place.clone());
    }
    places
}

/// A key without scheme, API version and trailing slash; Docker Hub's names are one.
fn canonical(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let (host, path) = key.split_once('/').map_or((key, ""), |(host, path)| (host, path));
    let host = if HUB.contains(&host) { HUB[0].to_owned() } else { host.to_ascii_lowercase() };
    let host = host.strip_suffix(":443").unwrap_or(&host);
    match path {
        "" | "v1" | "v2" => host.to_owned(),
        path => format!("{host}/{path}"),
    }
}

impl Entry {
    /// None when the entry is empty, as docker leaves it when a store has the secret.
    fn credential(&self) -> Result<Option<Credential>, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::IdentityToken(Secret::new(token))));
        }
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::Bearer(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            let pair = STANDARD.decode(&auth).or_else(|_| STANDARD_NO_PAD.decode(&auth)).ok();
            let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
            let (username, password) = pair
                .as_deref()
                .and_then(|pair| pair.split_once(':'))
                .ok_or("has an auth that is not base64 of user:password")?;
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credential::Basic { username: username.to_owned(), password }));
        }
        Ok(given(&self.username)
            .zip(given(&self.password))
            .map(|(username, password)| Credential::Basic { username, password: Secret::new(password) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(json: &serde_json::Value, url: &str, repository: Option<&str>) -> String {
        let file: File = serde_json::from_value(json.clone()).unwrap();
        match find(&file, &Ground::for_tests(url), repository) {
            Ok(Match::Entry(_, Credential::Basic { username, .. })) => username,
            Ok(Match::Entry(_, credential)) => format!("{credential:?}"),
            Ok(Match::Helper { name, server }) => format!("{name} for {server}"),
            Ok(Match::Nothing) => "nothing".into(),
            Err(why) => why,
        }
    }

    #[test]
    fn the_longest_path_of_the_same_host_is_used() {
        let pair = |user: &str| serde_json::json!({"auth": STANDARD.encode(format!("{user}:p:w"))});
        let json = serde_json::json!({"auths": {
            "https://index.docker.io/v1/": pair("hub"),
            "quay.io": pair("quay"),
            "quay.io/org": pair("org"),
            "quay.io/org/private": {"username": "deep", "password": "p"},
            "https://r.example:5000/v2/": pair("port"),
            "token.example": {"identitytoken": "t", "auth": "eA=="},
            "bad.example": {"auth": "canary"},
        }});
        for (url, repository, expected) in [
            ("https://registry-1.docker.io", Some("library/alpine"), "hub"),
            ("https://quay.io", Some("org/private/app"), "deep"),
            ("https://quay.io", Some("org/privateer"), "org"),
            ("https://quay.io", Some("other"), "quay"),
            ("https://quay.io", None, "quay"),
            ("https://quay.io:8443", None, "nothing"),
            ("https://evil.quay.io", None, "nothing"),
            ("http://r.example:5000", Some("a"), "port"),
            ("https://token.example", None, "IdentityToken([redacted])"),
            ("https://bad.example", None, "the entry 'bad.example' has an auth that is not base64 of user:password"),
        ] {
            assert_eq!(find_in(&json, url, repository), expected, "{url}");
        }
    }

    #[test]
    fn helpers_of_a_host_go_before_the_store() {
        let json = serde_json::json!({
            "auths": {"ghcr.io": {}, "https://index.docker.io/v1/": {}},
            "credsStore": "desktop",
            "credHelpers": {"quay.io": "pass"},
        });
        assert_eq!(find_in(&json, "https://quay.io", Some("a")), "pass for quay.io");
        assert_eq!(find_in(&json, "https://ghcr.io", None), "desktop for ghcr.io");
        assert_eq!(find_in(&json, "https://docker.io", None), "desktop for https://index.docker.io/v1/");
    }
}
