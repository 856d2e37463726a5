//! The `auth` of a repository: one credential, or a list of them.
//!
//! Must not know how a credential is obtained. Invariants: each entry has exactly one form; nothing here opens a file,
//! runs a program or asks the network; a problem quotes no secret.

use std::collections::HashSet;
use std::path::PathBuf;

use client::{Credential, CredentialEntry, CredentialSource, CredentialStore, Secret};
use serde_json::{Map, Value, json};

use super::cloud;
use super::reader::Reader;

/// What may stand in an entry beside its form.
const LABELS: [&str; 2] = ["name", "repositories"];

/// The forms, each by the fields that belong to it. The first field names the form.
const FORMS: [&[&str]; 9] = [
    &["username", "password", "password_file"],
    &["token", "token_file"],
    &["identity_token"],
    &["docker_config"],
    &["helper"],
    &["exec"],
    &["ecr"],
    &["google"],
    &["azure"],
];

impl<'a> Reader<'a> {
    /// Reads `auth`; anonymous when it is absent, or wrong and that is noted.
    pub(super) fn auth(&mut self) -> CredentialStore {
        if self.is_passthrough() {
            return CredentialStore::anonymous();
        }
        let entries = match self.value("auth") {
            Value::Null => return CredentialStore::anonymous(),
            Value::Object(object) => vec![self.credential("auth", object)],
            Value::Array(list) => self.credentials(list),
            Value::String(_) | Value::Bool(_) | Value::Number(_) => {
                self.problem("auth", "must be an object like {username: …, password: …}, or a list of such objects");
                return CredentialStore::anonymous();
            }
        };
        let entries: Vec<_> = entries.into_iter().flatten().collect();
        let mut names = HashSet::new();
        for entry in entries.iter().filter(|entry| !names.insert(entry.name.clone())) {
            let message = format!("two credentials are called '{}'; give each its own name", entry.name);
            self.problem("auth", message);
        }
        CredentialStore::new(entries)
    }

    fn credentials(&mut self, list: &'a [Value]) -> Vec<Option<CredentialEntry>> {
        let mut entries = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            let path = format!("auth[{index}]");
            match item {
                Value::Object(object) => entries.push(self.credential(&path, object)),
                _ => self.problem(&path, "must be an object"),
            }
        }
        entries
    }

    /// One entry.
    fn credential(&mut self, path: &str, object: &'a Map<String, Value>) -> Option<CredentialEntry> {
        let known: Vec<&str> = FORMS.iter().copied().flatten().chain(&LABELS).copied().collect();
        self.item(path, object, &known, |fields| {
            let name = fields.parsed("name", name).unwrap_or_else(|| path.to_owned());
            let repositories = fields.parsed("repositories", prefix);
            source(fields).map(|source| CredentialEntry { name: name.into(), repositories, source })
        })
    }
}

/// Reads the one form of an entry.
fn source(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    let written = |key: &&str| !fields.is_absent(key);
    let forms: Vec<(&str, &str)> =
        FORMS.iter().filter_map(|form| Some((form[0], *form.iter().find(|key| written(key))?))).collect();
    let form = match forms.as_slice() {
        [(form, _)] => *form,
        [] => {
            fields.problem("username", "required when auth is given, or another form of credential");
            fields.problem("password", "required when auth is given, or another form of credential");
            return None;
        }
        [(_, first), (_, second), ..] => {
            let message = format!("stands beside {first}, but an entry has one form; use two entries, or drop one");
            fields.problem(second, message);
            return None;
        }
    };
    match form {
        "username" => password(fields),
        "token" => token(fields),
        "docker_config" => fields.file("docker_config").map(CredentialSource::DockerConfig),
        "helper" => fields.program("helper").map(CredentialSource::Helper),
        "exec" => cloud::exec(fields),
        "ecr" => cloud::ecr(fields),
        "google" => cloud::google(fields),
        "azure" => cloud::azure(fields),
        _ => secret(fields, "identity_token").map(|token| CredentialSource::Fixed(Credential::IdentityToken(token))),
    }
}

fn password(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    let username = fields.text("username").filter(|name| !name.is_empty());
    if username.is_none() {
        fields.problem("username", "required with a password");
    }
    match one_of(fields, "password", "password_file")? {
        Either::Text(password) => {
            username.map(|username| CredentialSource::Fixed(Credential::Basic { username, password }))
        }
        Either::File(file) => username.map(|username| CredentialSource::PasswordFile { username, file }),
    }
}

fn token(fields: &mut Reader<'_>) -> Option<CredentialSource> {
    Some(match one_of(fields, "token", "token_file")? {
        Either::Text(token) => CredentialSource::Fixed(Credential::Bearer(token)),
        Either::File(file) => CredentialSource::TokenFile(file),
    })
}

enum Either {
    Text(Secret),
    File(PathBuf),
}

/// A secret in the document or in a file, not both.
fn one_of(fields: &mut Reader<'_>, text: &'static str, file: &'static str) -> Option<Either> {
    match (!fields.is_absent(text), !fields.is_absent(file)) {
        (true, true) => fields.problem(file, format!("give {text} or {file}, not both")),
        (true, false) => return secret(fields, text).map(Either::Text),
        (false, true) => return fields.file(file).map(Either::File),
        (false, false) => fields.problem(text, format!("required when auth is given; or {file}")),
    }
    None
}

pub(super) fn secret(fields: &mut Reader<'_>, name: &'static str) -> Option<Secret> {
    fields.parsed(name, |text| if text.is_empty() { Err("is empty".into()) } else { Ok(Secret::new(text)) })
}

fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.[]".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
        return Err("must be 1 to 64 letters, digits, '-', '_' or '.'".into());
    }
    Ok(text.to_owned())
}

fn prefix(text: &str) -> Result<String, String> {
    let trimmed = text.strip_suffix("/*").or_else(|| text.strip_suffix('/')).unwrap_or(text);
    trimmed.parse::<oci::RepositoryName>().map(|name| name.to_string()).map_err(|error| {
        format!("{error}; write the beginning of repository names as upstream has them, like org/private")
    })
}

/// `auth` as an administrator may see it: which credentials there are, and no secret.
pub(in crate::repositories) fn view(auth: &Value) -> Option<Value> {
    match auth {
        Value::Object(fields) => Some(view_of(fields)),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_object).map(view_of).collect()),
        Value::String(text) => Some(text.as_str().into()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn view_of(fields: &Map<String, Value>) -> Value {
    let mut shown: Map<String, Value> = ["name", "repositories", "username"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), fields.get(key)?.clone())))
        .collect();
    let form = FORMS.iter().find(|form| form.iter().any(|key| fields.contains_key(*key)));
    match form.map(|form| form[0]) {
        Some("username") => shown.insert("has_password".into(), true.into()),
        Some(form) => shown.insert("form".into(), form.into()),
        None => None,
    };
    json!(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::document::Provenance;

    fn read(auth: &Value, provenance: Provenance) -> Result<CredentialStore, Vec<String>> {
        let document = json!({ "auth": auth });
        let mut reader = Reader::new(document.as_object().unwrap(), provenance);
        let store = reader.auth();
        let found = reader.into_problems();
        if found.is_empty() {
            return Ok(store);
        }
        Err(found.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect())
    }

    fn problems(auth: &Value) -> Vec<String> {
        read(auth, Provenance::File).expect_err("this is wrong")
    }

    fn assert_starts(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}…");
        }
    }

    #[test]
    fn each_form_is_read_and_named() {
        let auth = json!([
            {"username": "u", "password": "p"},
            {"name": "file", "repositories": "org/private/*", "username": "u", "password_file": "/run/secrets/p"},
            {"token": "t"},
            {"token_file": "/run/secrets/t"},
            {"identity_token": "t"},
            {"docker_config": "/etc/transship/docker.json"},
            {"helper": "ecr-login"},
            {"exec": {"command": ["/bin/get", "-x"], "lifetime": "5m", "env": {"A": "b"}}},
            {"ecr": {"access_key_id": "A", "secret_access_key": "s", "region": "eu-west-1"}},
            {"google": {"key_file": "/key.json"}},
            {"azure": {"managed_identity": true}},
        ]);
        let store = read(&auth, Provenance::File).unwrap();
        let labels: Vec<_> = store.labels().map(|label| format!("{} {}", label.name, label.kind)).collect();
        let rest = [
            "auth[0] password",
            "auth[2] token",
            "auth[3] token_file",
            "auth[4] identity_token",
            "auth[5] docker_config",
            "auth[6] helper",
            "auth[7] exec",
            "auth[8] ecr",
            "auth[9] google",
            "auth[10] azure",
        ];
        assert_eq!(labels[0], "file password_file", "the longest prefix first");
        assert_eq!(labels[1..], rest);
        assert_eq!(store.describe(Some("org/private/x")).unwrap().name.as_ref(), "file");
        let one = read(&json!({"username": "u", "password": "p"}), Provenance::Api).unwrap();
        assert_eq!(one.describe(None).unwrap().name.as_ref(), "auth");
    }

    #[test]
    fn every_problem_is_told_with_its_path_and_no_secret() {
        let auth = json!([
            {"username": "u", "password": "canary", "password_file": "/f"},
            {"username": "", "pasword": "canary"},
            {"token": "canary", "identity_token": "canary"},
            {"password": "canary"},
            {"name": "a b", "repositories": "Org", "token": 7},
            "canary",
        ]);
        let found = problems(&auth);
        assert_starts(
            &found,
            &[
                "auth[0].password_file: give password or password_file, not both",
                "auth[1].pasword: unknown field; known are username, password",
                "auth[1].username: required",
                "auth[1].password: required",
                "auth[2].identity_token: stands beside token",
                "auth[3].username: required",
                "auth[4].name: must be 1 to 64",
                "auth[4].repositories: ",
                "auth[4].token: must be a string",
                "auth[5]: must be an object",
            ],
        );
        assert!(!found.concat().contains("canary"));
        assert_starts(&problems(&json!("canary")), &["auth: must be an object"]);
        let twice = json!([{"name": "x", "token": "a"}, {"name": "x", "token": "b"}]);
        assert_starts(&problems(&twice), &["auth: two credentials are called 'x'"]);
    }

    #[test]
    fn the_api_names_no_local_files_programs_or_identities() {
        let key = json!({"access_key_id": "A", "secret_access_key": "s"});
        let auth = json!([
            {"username": "u", "password_file": "/f"},
            {"token_file": "/f"},
            {"docker_config": "/f"},
            {"helper": "pass"},
            {"exec": {"command": ["/bin/sh"]}},
            {"ecr": {}},
            {"ecr": {"access_key_id": "A", "secret_access_key": "s", "endpoint": "https://e.example"}},
            {"google": {"key_file": "/f"}},
            {"google": {"metadata": true}},
            {"azure": {"managed_identity": true}},
            {"ecr": key},
            {"google": {"access_token": "t"}},
        ]);
        let found = read(&auth, Provenance::Api).unwrap_err();
        let expected = [
            "auth[0].password_file: names a local file",
            "auth[1].token_file: names a local file",
            "auth[2].docker_config: names a local file",
            "auth[3].helper: runs a program of this machine",
            "auth[4].exec.command: runs a program of this machine",
            "auth[5].ecr.access_key_id: is required over the API",
            "auth[6].ecr.endpoint: is possible only in the configuration file",
            "auth[7].google.key_file: names a local file",
            "auth[8].google.metadata: is possible only in the configuration file",
            "auth[9].azure.managed_identity: is possible only in the configuration file",
        ];
        assert_starts(&found, &expected);
    }

    #[test]
    fn each_form_says_what_it_lacks() {
        let auth = json!([
            {"exec": {}},
            {"ecr": {"access_key_id": "A"}},
            {"google": {}},
            {"google": {"metadata": true, "key": "k"}},
            {"azure": {"client_id": "c"}},
            {"azure": {"tenant": "../x", "client_id": "c", "client_secret": "s"}},
            {"ecr": {"regoin": "x"}},
            {"exec": {"command": ["a"], "lifetime": "soon"}},
        ]);
        let found = problems(&auth);
        let expected = [
            "auth[0].exec.command: required",
            "auth[1].ecr.secret_access_key: required with access_key_id",
            "auth[2].google.key_file: required",
            "auth[3].google.metadata: stands beside key",
            "auth[4].azure.tenant: required",
            "auth[4].azure.client_secret: required",
            "auth[5].azure.tenant: must be",
            "auth[6].ecr.regoin: unknown field",
            "auth[7].exec.lifetime: 'soon' is not a duration",
        ];
        assert_starts(&found, &expected);
    }

    #[test]
    fn the_view_has_no_secret() {
        let auth = json!([{"username": "u", "password": "canary"}, {"name": "t", "token": "canary"}]);
        let expected = json!([{"username": "u", "has_password": true}, {"name": "t", "form": "token"}]);
        assert_eq!(view(&auth).unwrap(), expected);
    }
}
