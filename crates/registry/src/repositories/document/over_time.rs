//! What a hosted repository's document says of its tags over time: `channels`, `retention`, `promote`.
//!
//! Must not know what any of it does. Invariant: what would delete everything, or never hold, is a problem.

use std::time::Duration;

use oci::{RepoKey, Tag};
use serde_json::Value;

use super::reader::Reader;
use crate::hosted::{Channel, Follow, Rule, Workflow, WorkflowRun};
use crate::repositories::pattern::TagPattern;
use crate::repositories::spec::parse_duration;
use crate::retention::{Held, Order, RetentionRule, RetentionSpec};

const RULE_FIELDS: [&str; 7] =
    ["tags", "keep_last", "keep_newer_than", "keep_matching", "keep_pulled_within", "order", "delete_immutable"];
const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);
const MOST: usize = 100;

impl<'a> Reader<'a> {
    /// `channels`: each name with the pattern of the versions it is over.
    pub(super) fn channels(&mut self, is_whole: bool) -> Vec<Channel> {
        let entries = match self.value("channels") {
            Value::Null => return Vec::new(),
            Value::Object(entries) if entries.len() <= MOST => entries,
            _ => {
                self.problem(
                    "channels",
                    format!("must be a map of at most {MOST}, like {{ stable: {{ over: \"v*\" }} }}"),
                );
                return Vec::new();
            }
        };
        let written: Vec<String> = match self.value("immutable_tags") {
            Value::Array(patterns) => patterns.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(one) => vec![one.clone()],
            _ => Vec::new(),
        };
        let names: Vec<&String> = entries.keys().collect();
        let mut channels = Vec::new();
        for (name, entry) in entries {
            let path = format!("channels.{name}");
            let Ok(tag) = name.parse::<Tag>() else {
                self.problem(&path, "the name of a channel is a tag, like stable");
                continue;
            };
            let Value::Object(fields) = entry else {
                self.problem(&path, "must be an object with over");
                continue;
            };
            let channel = self.item(&path, fields, &["over", "follow", "prereleases"], |inner| inner.channel(tag));
            let Some(channel) = channel else { continue };
            let holds =
                is_whole || written.iter().any(|pattern| pattern == "*" || *pattern == channel.over.to_string());
            if !holds {
                let over = &channel.over;
                self.problem(
                    &format!("{path}.over"),
                    format!("its versions must not move: put \"{over}\" into immutable_tags"),
                );
            }
            if let Some(other) = names.iter().find(|other| ***other != *name && channel.over.matches(other)) {
                self.problem(&format!("{path}.over"), format!("it covers the channel '{other}', which is no version"));
            }
            channels.push(channel);
        }
        channels
    }

    fn channel(&mut self, tag: Tag) -> Option<Channel> {
        let follow = self.parsed("follow", |text| match text {
            "never" => Ok(Follow::Never),
            "latest" => Ok(Follow::Latest),
            other => Err(format!("'{other}' is not known; write never or latest")),
        });
        let follow = match (follow.unwrap_or_default(), self.flag("prereleases").unwrap_or(false)) {
            (Follow::Latest, true) => Follow::LatestWithPrereleases,
            (follow, _) => follow,
        };
        if self.is_absent("over") {
            self.problem("over", "required: the pattern of the versions it is over, like \"v*\"");
        }
        let over = self.parsed("over", TagPattern::parse)?;
        if over.matches(tag.as_str()) {
            self.problem("over", format!("it covers the channel '{tag}' itself"));
        }
        Some(Channel { tag, over, follow })
    }

    /// `retention`.
    pub(super) fn retention(&mut self) -> Option<RetentionSpec> {
        self.section("retention", |inner| {
            let interval = inner.parsed("interval", |text| match parse_duration(text)? {
                interval if interval < SHORTEST_INTERVAL => Err(format!("'{text}' is too short; write 1m or more")),
                interval => Ok(interval),
            });
            let rules = inner.objects("rules", &RULE_FIELDS, |rule| Some(rule.retention_rule()));
            if rules.is_empty() && !inner.has_problems() {
                inner.problem("rules", "required: a list of rules, like [{ tags: \"*\", keep_last: 10 }]");
            }
            RetentionSpec { rules, interval }
        })
    }

    fn retention_rule(&mut self) -> RetentionRule {
        let rule = RetentionRule {
            tags: self.patterns_or_all("tags"),
            keep_last: self.number("keep_last"),
            keep_newer_than: self.parsed("keep_newer_than", parse_keeping),
            keep_matching: self.list("keep_matching", TagPattern::parse),
            keep_pulled_within: self.parsed("keep_pulled_within", parse_keeping),
            order: self.parsed("order", parse_order).unwrap_or_default(),
            held: if self.flag("delete_immutable") == Some(true) { Held::Goes } else { Held::Stays },
        };
        // What was written but could not be read has its own problem.
        if !rule.keeps_something() && !self.has_problems() {
            let keeps = ["keep_last", "keep_newer_than", "keep_matching", "keep_pulled_within"].join(", ");
            self.problem("tags", format!("it keeps nothing, and would delete every tag; give one of {keeps}"));
        }
        rule
    }

    /// Patterns of tags. Without the field, all; a list of none would be about nothing, and look as if it held.
    fn patterns_or_all(&mut self, path: &'static str) -> Vec<TagPattern> {
        let mut patterns = self.list(path, TagPattern::parse);
        if self.is_absent(path) {
            patterns.extend(TagPattern::parse("*"));
        } else if patterns.is_empty() && !self.has_problems() {
            self.problem(path, "it is about no tag; name patterns, or leave it out for all tags");
        }
        patterns
    }

    fn number(&mut self, path: &'static str) -> Option<u32> {
        let number = match self.value(path) {
            Value::Null => return None,
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        if number.is_none() {
            self.problem(path, "must be a whole number from 1 on");
        }
        number
    }

    /// `promote`: what comes from where, by which rules.
    pub(super) fn promote(&mut self, own: &RepoKey) -> Vec<Workflow> {
        self.objects("promote", &["from", "to", "when", "require", "run"], |inner| inner.workflow(own))
    }

    fn workflow(&mut self, own: &RepoKey) -> Option<Workflow> {
        if let Some(to) = self.text("to").filter(|to| to != own.as_str()) {
            self.problem("to", format!("this is the 'promote' of '{own}'; what goes to '{to}' stands there"));
        }
        if self.is_absent("from") {
            self.problem("from", "required: the key of the repository that it comes from");
        }
        let from = self.parsed("from", |text| text.parse::<RepoKey>().map_err(|error| error.to_string()));
        if from.as_ref() == Some(own) {
            self.problem("from", "a repository is not promoted to itself");
        }
        let when = self.patterns_or_all("when");
        let rules: &[Value] = match self.value("require") {
            Value::Null => &[],
            Value::Array(rules) => rules,
            one => std::slice::from_ref(one),
        };
        let mut require = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match Rule::from_document(rule) {
                Ok(rule) => require.push(rule),
                Err(message) => self.problem(&format!("require[{index}]"), message),
            }
        }
        let run = self.parsed("run", |text| match text {
            "push" => Ok(WorkflowRun::OnPush),
            "hand" => Ok(WorkflowRun::ByHand),
            other => Err(format!("'{other}' is not known; write push or hand")),
        });
        Some(Workflow { from: from?, when, require, run: run.unwrap_or_default() })
    }

    /// A list of objects, each with these fields.
    fn objects<T>(
        &mut self,
        path: &'static str,
        fields: &[&str],
        read: impl Fn(&mut Reader<'a>) -> Option<T>,
    ) -> Vec<T> {
        let items = match self.value(path) {
            Value::Null => return Vec::new(),
            Value::Array(items) if items.len() <= MOST => items.as_slice(),
            one @ Value::Object(_) => std::slice::from_ref(one),
            _ => {
                self.problem(path, format!("must be a list of at most {MOST} objects"));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                Value::Object(object) => found.extend(self.item(&path, object, fields, &read)),
                _ => self.problem(&path, format!("must be an object with {}", fields.join(", "))),
            }
        }
        found
    }
}

/// A time within which something is kept: none keeps nothing.
fn parse_keeping(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("'{text}' keeps nothing; write a time, like 30d")),
        within => Ok(within),
    }
}

fn parse_order(text: &str) -> Result<Order, String> {
    match text {
        "time" => Ok(Order::Time),
        "semver" => Ok(Order::Semver),
        other => Err(format!("'{other}' is not an order; write time or semver")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::hosted::{Follow, HostedSpec, Rule};
    use crate::repositories::{ConfiguredRepository, Provenance};
    use crate::retention::Order;
    use serde_json::Value;

    fn read(more: &Value) -> Result<HostedSpec, Vec<String>> {
        let mut document = json!({ "kind": "hosted" });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match ConfiguredRepository::from_document("r".parse().unwrap(), &document, Provenance::Api) {
            Ok(ConfiguredRepository::Hosted(spec)) => Ok(*spec),
            Ok(_) => panic!("read as another kind"),
            Err(problems) => Err(problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()),
        }
    }

    #[test]
    fn everything_over_time_is_read() {
        let spec = read(&json!({
            "immutable_tags": ["v*"],
            "channels": { "stable": { "over": "v*", "follow": "latest" },
                          "beta": { "over": "v*", "follow": "latest", "prereleases": true } },
            "retention": { "interval": "1d", "rules": [{ "tags": "*", "keep_last": 10, "order": "semver" }] },
            "promote": [{ "from": "dev", "to": "r", "when": "v*", "require": ["signed", { "labelled": { "a": "b" } }] }],
        }))
        .unwrap();
        let follow = |tag: &str| spec.channel(&tag.parse().unwrap()).unwrap().follow;
        assert_eq!((follow("stable"), follow("beta")), (Follow::Latest, Follow::LatestWithPrereleases));
        assert!(spec.is_immutable(&"v1".parse().unwrap()) && !spec.is_immutable(&"stable".parse().unwrap()));
        let retention = spec.retention.unwrap();
        assert_eq!((retention.rules[0].keep_last, retention.rules[0].order), (Some(10), Order::Semver));
        assert_eq!((spec.promote[0].from.as_str(), &spec.promote[0].require[0]), ("dev", &Rule::Signed));
    }

    #[test]
    fn what_would_never_hold_or_delete_everything_is_a_problem() {
        for (document, problem) in [
            (json!({ "channels": { "stable": { "over": "v*" } } }), "channels.stable.over: its versions must not move"),
            (
                json!({ "immutable": true, "channels": { "stable": { "over": "*" } } }),
                "covers the channel 'stable' itself",
            ),
            (json!({ "channels": { "stable": {} } }), "channels.stable.over: required"),
            (json!({ "channels": { "st able": { "over": "v*" } } }), "the name of a channel is a tag"),
            (json!({ "retention": {} }), "retention.rules: required"),
            (json!({ "retention": { "rules": [{ "tags": "*" }] } }), "retention.rules[0].tags: it keeps nothing"),
            (
                json!({ "retention": { "rules": [{ "tags": "*", "keep_matching": [] }] } }),
                "retention.rules[0].tags: it keeps nothing",
            ),
            (json!({ "retention": { "rules": [{ "keep_newer_than": "0s" }] } }), "keep_newer_than: '0s' keeps nothing"),
            (
                json!({ "retention": { "rules": [{ "keep_last": 1, "keep_pulled_within": "0d" }] } }),
                "keep_pulled_within: '0d' keeps nothing",
            ),
            (
                json!({ "retention": { "rules": [{ "tags": [], "keep_last": 1 }] } }),
                "retention.rules[0].tags: it is about no tag",
            ),
            (json!({ "retention": { "rules": [{ "keep_lasts": 1 }] } }), "retention.rules[0].keep_lasts"),
            (json!({ "retention": { "rules": [{ "keep_last": 0 }] } }), "whole number from 1"),
            (json!({ "retention": { "rules": [{ "keep_last": 1 }], "interval": "1s" } }), "retention.interval: '1s'"),
            (json!({ "promote": [{ "from": "r" }] }), "promote[0].from: a repository is not promoted to itself"),
            (json!({ "promote": [{ "from": "dev", "to": "other" }] }), "promote[0].to: this is the 'promote' of 'r'"),
            (json!({ "promote": [{ "from": "dev", "require": ["singed"] }] }), "promote[0].require[0]: 'singed'"),
            (json!({ "promote": [{ "when": "v*" }] }), "promote[0].from: required"),
            (
                json!({ "promote": [{ "from": "dev", "when": [], "require": ["signed"] }] }),
                "promote[0].when: it is about no tag",
            ),
        ] {
            let found = read(&document).unwrap_err().join("\n");
            assert!(found.contains(problem), "{document}: {found}");
        }
    }
}
