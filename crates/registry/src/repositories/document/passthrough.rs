//! Reads `auth: passthrough` and the times that belong to it.
//!
//! Must not know what is done with them. Invariant: callers' secrets travel to an upstream over https, or to one that the
//! operator has called internal.

use std::time::Duration;

use client::Reach;

use super::reader::Reader;
use crate::access::{MAX_GRACE, MAX_GRANT, MAX_PUBLIC, PassthroughRules};
use crate::repositories::spec::{UpstreamSpec, parse_duration};

/// The word for "each caller's own account", and the section with its times.
const PASSTHROUGH: &str = "passthrough";

impl Reader<'_> {
    /// Whether `auth` is the word and no account.
    pub(super) fn is_passthrough(&self) -> bool {
        self.says("auth", PASSTHROUGH)
    }

    /// The rules, when the repository passes its callers' accounts through.
    pub(super) fn passthrough(&mut self, upstream: Option<&UpstreamSpec>, mirrors: usize) -> Option<PassthroughRules> {
        let defaults = PassthroughRules::default();
        let rules = self.section(PASSTHROUGH, |times| PassthroughRules {
            grant_ttl: times.at_most("grant_ttl", MAX_GRANT, defaults.grant_ttl),
            public_ttl: times.at_most("public_ttl", MAX_PUBLIC, defaults.public_ttl),
            grace: times.at_most("grace", MAX_GRACE, defaults.grace),
        });
        if !self.is_passthrough() {
            if rules.is_some() {
                self.problem(PASSTHROUGH, "is only for repositories with \"auth\": \"passthrough\"");
            }
            return None;
        }
        if mirrors > 0 {
            self.problem(
                "upstreams",
                "callers' accounts belong to one upstream, so with \"auth\": \"passthrough\" there is only one",
            );
        }
        if upstream.is_some_and(|at| at.url.scheme() == "http" && matches!(at.reach, Reach::PublicOnly)) {
            self.problem("auth", "callers' passwords must not travel in the clear: use an https upstream");
        }
        Some(rules.unwrap_or_default())
    }

    fn at_most(&mut self, path: &'static str, most: Duration, default: Duration) -> Duration {
        let bounded = |text: &str| match parse_duration(text)? {
            time if time <= most => Ok(time),
            _ => Err(format!("must be at most {}", humantime::format_duration(most))),
        };
        self.parsed(path, bounded).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::repositories::{Provenance, RepositorySpec};

    fn read(more: &Value) -> Result<RepositorySpec, Vec<String>> {
        let mut document = json!({ "upstream": "https://registry.example" });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RepositorySpec::from_document("corp".parse().unwrap(), &document, Provenance::Api)
            .map_err(|problems| problems.into_iter().map(|problem| problem.path).collect())
    }

    #[test]
    fn times_have_their_defaults_and_bounds() {
        let rules = read(&json!({ "auth": "passthrough" })).unwrap().passthrough.unwrap();
        assert_eq!([rules.grant_ttl, rules.public_ttl, rules.grace].map(|time| time.as_secs()), [300, 900, 0]);
        let times = json!({ "grant_ttl": "0s", "public_ttl": "1m", "grace": "2h" });
        let rules = read(&json!({ "auth": "passthrough", "passthrough": times })).unwrap().passthrough.unwrap();
        assert_eq!([rules.grant_ttl, rules.public_ttl, rules.grace].map(|time| time.as_secs()), [0, 60, 7200]);
        assert!(read(&json!({})).unwrap().passthrough.is_none());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let too_long = json!({ "grant_ttl": "6m", "public_ttl": "1h", "grace": "2d", "x": 1 });
        let cases = [
            (json!({ "auth": "pass" }), vec!["auth"]),
            (json!({ "passthrough": {} }), vec!["passthrough"]),
            (json!({ "auth": { "username": "a", "password": "b" }, "passthrough": {} }), vec!["passthrough"]),
            (json!({ "auth": "passthrough", "passthrough": "yes" }), vec!["passthrough"]),
            (json!({ "auth": "passthrough", "upstream": "http://registry.example" }), vec!["auth"]),
            (
                json!({ "auth": "passthrough", "upstream": null, "upstreams": ["https://a.example", "https://b.example"] }),
                vec!["upstreams"],
            ),
            (
                json!({ "upstream": null, "upstreams": ["https://a.example", { "url": "https://b.example", "auth": "passthrough" }] }),
                vec!["upstreams[1].auth"],
            ),
            (
                json!({ "auth": "passthrough", "passthrough": too_long }),
                vec!["passthrough.x", "passthrough.grant_ttl", "passthrough.public_ttl", "passthrough.grace"],
            ),
        ];
        for (document, fields) in cases {
            assert_eq!(read(&document).unwrap_err(), fields, "{document}");
        }
        read(&json!({ "auth": "passthrough", "upstream": "http://10.0.0.1", "internal": true })).unwrap();
    }
}
