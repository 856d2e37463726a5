//! Documents of groups.
//!
//! Must not know whether the members are there (that is `memberships`). Invariant: a field that only another kind has is a
//! problem and not passed over, and every member that a rule names is listed.

use std::time::Duration;

use oci::{RegistryHost, RepoKey};
use serde_json::Value;

use super::parse_listen;
use super::reader::Reader;
use super::{FieldProblem, Provenance};
use crate::groups::{GroupSpec, NameKeeping, NameRules};
use crate::repositories::pattern::NamePattern;

/// What a group's document may hold.
const GROUP: [&str; 9] = ["kind", "members", "push_to", "names", "name_ttl", "pin", "routes", "hosts", "listen"];
/// Of these, what only a group's may.
const GROUP_ONLY: [&str; 6] = ["members", "push_to", "names", "name_ttl", "pin", "routes"];

/// Most members of a group, and most patterns in its rules.
const MOST_MEMBERS: usize = 32;
const MOST_PATTERNS: usize = 10_000;

/// A shorter time would have the members before a keeper asked all the time.
const SHORTEST_TTL: Duration = Duration::from_mins(1);

/// Whether a document says that it is one of a group.
pub(crate) fn is_group(document: &Value) -> bool {
    document.get("kind").and_then(Value::as_str) == Some("group")
}

/// Reads and checks the document of a group.
pub(crate) fn read_group(
    key: RepoKey,
    document: &Value,
    provenance: Provenance,
) -> Result<GroupSpec, Vec<FieldProblem>> {
    let Some(object) = document.as_object() else {
        return Err(vec![FieldProblem { path: String::new(), message: "a repository must be an object".into() }]);
    };
    let mut read = Reader::new(object, provenance);
    read.unknown_fields("");
    for name in object.keys().filter(|name| super::fields::names_in("").contains(&name.as_str())) {
        if !GROUP.contains(&name.as_str()) {
            read.problem(name, format!("a group has no '{name}'; it has {}", GROUP.join(", ")));
        }
    }
    let members = read.members(&key);
    let push_to = read.member("push_to", &members);
    let names = read.parsed("names", NameKeeping::parse).unwrap_or_default();
    if names == NameKeeping::Merged && push_to.is_some_and(|index| index > 0) {
        let message = "with names: merged, the member that takes pushes must be the first of members: others before it could hide what is pushed";
        read.problem("push_to", message);
    }
    let name_ttl = read.duration("name_ttl", Duration::from_hours(24));
    if name_ttl < SHORTEST_TTL {
        read.problem("name_ttl", "is too short; write 1m or more");
    }
    let pins = read.pins(&members);
    let routes = read.routes(&members);
    let hosts = read.list("hosts", |text| text.parse::<RegistryHost>().map_err(|e| e.to_string()));
    let listen = read.list("listen", parse_listen);
    if read.has_problems() {
        return Err(read.into_problems());
    }
    let rules = NameRules { members: members.len(), pins, routes };
    Ok(GroupSpec { key, members, push_to, names, name_ttl, rules, hosts, listen, document: document.clone() })
}

impl Reader<'_> {
    /// Refuses in another kind's document what only groups have.
    pub(super) fn refuse_group_fields(&mut self) {
        for name in GROUP_ONLY {
            if !self.is_absent(name) {
                self.problem(name, format!("only a repository of kind group has '{name}'"));
            }
        }
    }

    fn members(&mut self, own: &RepoKey) -> Vec<RepoKey> {
        let members = self.list("members", |text| text.parse::<RepoKey>().map_err(|e| e.to_string()));
        if self.is_absent("members") || members.is_empty() && !self.has_problems() {
            self.problem("members", "required: the keys of its members, the one that is asked first at the beginning");
        }
        if members.len() > MOST_MEMBERS {
            self.problem("members", format!("a group has at most {MOST_MEMBERS} members"));
        }
        for (index, member) in members.iter().enumerate() {
            if members[..index].contains(member) {
                self.problem(&format!("members[{index}]"), format!("'{member}' is a member already"));
            }
            if member == own {
                self.problem(&format!("members[{index}]"), "a group cannot be its own member".to_owned());
            }
        }
        members
    }

    fn member(&mut self, path: &'static str, members: &[RepoKey]) -> Option<usize> {
        let text = self.text(path)?;
        let found = position(&text, members);
        found.map_err(|message| self.problem(path, message)).ok()
    }

    fn pins(&mut self, members: &[RepoKey]) -> Vec<(NamePattern, usize)> {
        let Some(object) =
            self.object_at("pin", "must be an object of name patterns and members: {\"team/*\": \"releases\"}")
        else {
            return Vec::new();
        };
        if object.len() > MOST_PATTERNS {
            self.problem("pin", format!("has more than {MOST_PATTERNS} patterns"));
        }
        let mut pins = Vec::with_capacity(object.len());
        for (pattern, member) in object {
            let path = format!("pin.{pattern}");
            let member = member.as_str().ok_or_else(|| "must be the key of a member".to_owned());
            let member = member.and_then(|text| position(text, members));
            match (NamePattern::parse(pattern), member) {
                (Ok(pattern), Ok(member)) => pins.push((pattern, member)),
                (pattern, member) => {
                    let wrong = [pattern.err(), member.err()];
                    wrong.into_iter().flatten().for_each(|message| self.problem(&path, message));
                }
            }
        }
        pins
    }

    fn routes(&mut self, members: &[RepoKey]) -> Vec<(usize, Vec<NamePattern>)> {
        let Some(object) = self
            .object_at("routes", "must be an object of members and lists of name patterns: {\"corp\": [\"corp/*\"]}")
        else {
            return Vec::new();
        };
        let mut routes = Vec::with_capacity(object.len());
        for (member, patterns) in object {
            let path = format!("routes.{member}");
            let index = position(member, members).map_err(|message| self.problem(&path, message));
            let texts = match patterns {
                Value::String(text) => vec![Some(text.as_str())],
                Value::Array(items) => items.iter().map(Value::as_str).collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![None],
            };
            if texts.is_empty() || texts.len() > MOST_PATTERNS {
                self.problem(&path, format!("must have 1 to {MOST_PATTERNS} name patterns"));
            }
            let parse = |text: Option<&str>| text.ok_or_else(|| "must be text".to_owned()).and_then(NamePattern::parse);
            let mut parsed = Vec::with_capacity(texts.len());
            for (at, text) in texts.into_iter().enumerate() {
                match parse(text) {
                    Ok(pattern) => parsed.push(pattern),
                    Err(message) => self.problem(&format!("{path}[{at}]"), message),
                }
            }
            routes.extend(index.ok().map(|index| (index, parsed)));
        }
        routes
    }
}

fn position(key: &str, members: &[RepoKey]) -> Result<usize, String> {
    members.iter().position(|member| member.as_str() == key).ok_or_else(|| {
        let known = members.iter().map(RepoKey::as_str).collect::<Vec<_>>().join(", ");
        format!("'{key}' is not a member; the members are {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::ConfiguredRepository;
    use serde_json::json;

    fn read(document: &Value) -> Result<GroupSpec, Vec<String>> {
        match ConfiguredRepository::from_document("all".parse().unwrap(), document, Provenance::Api) {
            Ok(ConfiguredRepository::Group(spec)) => Ok(*spec),
            Ok(ConfiguredRepository::Proxy(_) | ConfiguredRepository::Hosted(_)) => panic!("read as another kind"),
            Err(problems) => Err(problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()),
        }
    }

    #[test]
    fn a_group_is_read_with_its_rules() {
        let spec = read(&json!({ "kind": "group", "members": ["rel", "hub"] })).unwrap();
        assert_eq!((spec.push_to, spec.names, spec.name_ttl), (None, NameKeeping::Kept, Duration::from_hours(24)));
        let spec = read(&json!({
            "kind": "group", "members": ["rel", "corp", "hub"], "push_to": "rel", "names": "merged", "name_ttl": "1h",
            "pin": { "team/*": "rel" }, "routes": { "corp": ["corp/*", "infra/*"], "hub": "library/*" },
            "hosts": ["all.example"], "listen": "127.0.0.1:5001",
        }));
        let spec = spec.unwrap();
        assert_eq!((spec.push_to, spec.names, spec.name_ttl), (Some(0), NameKeeping::Merged, Duration::from_hours(1)));
        assert_eq!(spec.rules.choose("team/x").members, [0]);
        assert_eq!(spec.rules.choose("infra/x").members, [1]);
        assert_eq!(spec.rules.choose("library/x").members, [2]);
        assert_eq!((spec.hosts.len(), spec.listen.len()), (1, 1));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let found = read(&json!({
            "kind": "group", "members": ["rel", "hub", "rel", "all", "A B"], "push_to": "corp", "names": "mixed",
            "name_ttl": "1s", "pin": { "Team/*": "rel", "x/*": "corp", "y/*": 1 },
            "routes": { "corp": ["a/*"], "hub": ["a:b", 1], "rel": [] }, "upstream": "https://r.example", "pusch_to": 1,
        }));
        let mut found = found.unwrap_err();
        found.sort();
        let expected = [
            "members[2]: 'rel' is a member already",
            "members[3]: a group cannot be its own member",
            "members[4]: ",
            "name_ttl: is too short",
            "names: 'mixed' is not what happens to names",
            "pin.Team/*: 'T' cannot be in a name",
            "pin.x/*: 'corp' is not a member; the members are rel, hub",
            "pin.y/*: must be the key of a member",
            "pusch_to: unknown field",
            "push_to: 'corp' is not a member",
            "routes.corp: 'corp' is not a member",
            "routes.hub[0]: ':' cannot be in a name",
            "routes.hub[1]: must be text",
            "routes.rel: must have 1 to",
            "upstream: a group has no 'upstream'",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:#?}");
    }

    #[test]
    fn members_are_required_and_pushes_to_merged_names_go_first() {
        let one = |document: Value| {
            let found = read(&document).unwrap_err();
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        assert!(one(json!({ "kind": "group" })).starts_with("members: required"));
        assert!(one(json!({ "kind": "group", "members": [] })).starts_with("members: required"));
        let behind = json!({ "kind": "group", "members": ["hub", "rel"], "names": "merged", "push_to": "rel" });
        assert!(one(behind).starts_with("push_to: with names: merged"));
    }

    #[test]
    fn other_kinds_have_no_members() {
        for document in [
            json!({ "upstream": "https://r.example", "members": ["a"] }),
            json!({ "kind": "hosted", "members": ["a"] }),
        ] {
            let found = ConfiguredRepository::from_document("r".parse().unwrap(), &document, Provenance::Api);
            let found = found.unwrap_err();
            assert!(found.len() == 1 && found[0].path == "members", "{found:?}");
        }
    }
}
