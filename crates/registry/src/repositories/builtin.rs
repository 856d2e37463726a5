//! Well-known upstreams, so that `transship serve` needs no configuration.
//!
//! Reads the client's table of profiles. Must not know how a registry is talked to. Invariant: each entry resolves without
//! network access, and an alias belongs to one upstream only (Docker Hub answers to four names).

use client::profiles::{self, Profile, Standing};
use oci::RepoKey;
use serde_json::{Value, json};

/// The profiles that are repositories without configuration, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Profile> {
    profiles::ALL.iter().copied().filter(|profile| profile.standing == Standing::BuiltIn)
}

/// The document of a built-in repository.
pub(super) fn document(profile: &Profile) -> (RepoKey, Value) {
    let key = profile.key.parse().expect("built-in keys are well-formed; a test parses the table");
    (key, json!({ "kind": "proxy", "upstream": profile.url.expect("a built-in profile has an address; a test looks") }))
}

/// Other host names of the registry behind `host`, itself included; empty when it has just the one.
pub(super) fn aliases_of(host: &str) -> &'static [&'static str] {
    let aliases = profiles::of_host(host).aliases;
    if aliases.contains(&host) { aliases } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::{Provenance, RepositorySpec};

    #[test]
    fn every_entry_resolves_and_no_key_or_alias_stands_twice() {
        let mut seen = std::collections::HashSet::new();
        for entry in all() {
            let (key, document) = document(entry);
            let spec = RepositorySpec::from_document(key, &document, Provenance::File).unwrap();
            assert_eq!(spec.upstream.url.scheme(), "https");
            assert!(seen.insert(entry.key), "{} twice", entry.key);
            for alias in entry.aliases {
                assert!(seen.insert(alias), "{alias} twice");
            }
        }
        assert!(all().count() >= 16, "a built-in upstream has gone");
    }

    #[test]
    fn only_docker_hub_puts_library_before_short_names() {
        for entry in all() {
            let (key, document) = document(entry);
            let spec = RepositorySpec::from_document(key, &document, Provenance::File).unwrap();
            assert_eq!(spec.upstream.library_prefix, entry.key == "dockerhub", "{}", entry.key);
        }
    }

    #[test]
    fn the_examples_of_the_documentation_are_right() {
        for profile in profiles::ALL {
            let fields = profile.example.lines().fold((serde_json::Map::new(), None), |(mut fields, parent), line| {
                let (name, value) = line.split_once(':').unwrap();
                let value = value.split(" #").next().unwrap().trim();
                match (line.starts_with(' '), value) {
                    (false, "") => (fields, Some(name.to_owned())),
                    (false, "true") => {
                        fields.insert(name.to_owned(), json!(true));
                        (fields, None)
                    }
                    (false, value) => {
                        fields.insert(name.to_owned(), json!(value));
                        (fields, None)
                    }
                    (true, value) => {
                        let parent = parent.unwrap();
                        fields.entry(parent.clone()).or_insert_with(|| json!({}))[name.trim()] = json!(value);
                        (fields, Some(parent))
                    }
                }
            });
            let spec =
                RepositorySpec::from_document(profile.key.parse().unwrap(), &Value::Object(fields.0), Provenance::File)
                    .unwrap_or_else(|problems| panic!("{}: {problems:?}", profile.key));
            assert_eq!(spec.upstream.profile.key, profile.key, "the example says another registry");
        }
    }
}
