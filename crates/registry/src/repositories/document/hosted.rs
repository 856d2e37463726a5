//! Documents of hosted repositories.
//!
//! Must not know what the fields do. Invariant: a field that only another kind has is a problem and not passed over: what
//! is written would otherwise look as if it held.

use std::time::Duration;

use oci::{RegistryHost, RepoKey};
use serde_json::Value;

use super::parse_listen;
use super::reader::Reader;
use super::{FieldProblem, Provenance};
use crate::hosted::{HostedSpec, Immutability, PushLimits, PushPolicy, Untagged};
use crate::repositories::pattern::TagPattern;
use crate::repositories::size::parse_size;
use crate::repositories::spec::parse_duration;

/// What a hosted repository's document may hold.
const HOSTED: [&str; 11] = [
    "kind",
    "push",
    "push_limits",
    "gc",
    "immutable_tags",
    "immutable",
    "channels",
    "retention",
    "promote",
    "hosts",
    "listen",
];
/// Of these, what only a hosted one's may.
const HOSTED_ONLY: [&str; 7] = ["push", "push_limits", "gc", "immutable", "channels", "retention", "promote"];

/// Beyond, a limit is none.
const MOST_SESSIONS: u32 = 100_000;

/// A session that rests for less may be given up while its client is at work.
const SHORTEST_TTL: Duration = Duration::from_mins(1);

/// Whether a document says that it is one of a hosted repository.
pub(crate) fn is_hosted(document: &Value) -> bool {
    document.get("kind").and_then(Value::as_str) == Some("hosted")
}

/// Reads and checks the document of a hosted repository.
pub(crate) fn read_hosted(
    key: RepoKey,
    document: &Value,
    provenance: Provenance,
) -> Result<HostedSpec, Vec<FieldProblem>> {
    let Some(object) = document.as_object() else {
        return Err(vec![FieldProblem { path: String::new(), message: "a repository must be an object".into() }]);
    };
    let mut read = Reader::new(object, provenance);
    read.unknown_fields("");
    for name in object.keys().filter(|name| super::fields::names_in("").contains(&name.as_str())) {
        if !HOSTED.contains(&name.as_str()) {
            let message = format!("a hosted repository has no '{name}'; it has {}", HOSTED.join(", "));
            read.problem(name, message);
        }
    }
    let push = read.parsed("push", PushPolicy::parse).unwrap_or_default();
    let limits = read.section("push_limits", Reader::push_limits).unwrap_or_default();
    let untagged = read.section("gc", Reader::untagged).flatten();
    let immutable_tags = read.list("immutable_tags", TagPattern::parse);
    let immutability = if read.flag("immutable") == Some(true) { Immutability::Whole } else { Immutability::OfTags };
    if immutability == Immutability::Whole && untagged == Some(Untagged::Delete) {
        let message = "an immutable repository keeps everything, tagged or not; remove this, or immutable";
        read.problem("gc.delete_untagged", message);
    }
    let hosts = read.list("hosts", |text| text.parse::<RegistryHost>().map_err(|e| e.to_string()));
    let listen = read.list("listen", parse_listen);
    let channels = read.channels(immutability == Immutability::Whole);
    let retention = read.retention();
    let promote = read.promote(&key);
    if read.has_problems() {
        return Err(read.into_problems());
    }
    Ok(HostedSpec {
        key,
        push,
        immutable_tags,
        immutability,
        channels,
        retention,
        promote,
        hosts,
        listen,
        limits,
        untagged,
        document: document.clone(),
    })
}

impl Reader<'_> {
    /// Refuses in another kind's document what only hosted repositories have.
    pub(super) fn refuse_hosted_fields(&mut self) {
        for name in HOSTED_ONLY {
            if !self.is_absent(name) {
                self.problem(name, format!("only a repository of kind hosted has '{name}'"));
            }
        }
    }

    fn push_limits(&mut self) -> PushLimits {
        let defaults = PushLimits::default();
        PushLimits {
            manifest_bytes: self.manifest_bytes(defaults.manifest_bytes),
            layers: self.most("layers", defaults.layers, defaults.layers),
            children: self.most("children", defaults.children, defaults.children),
            blob_bytes: self.size("blob", defaults.blob_bytes),
            staged_bytes: self.size("staged", defaults.staged_bytes),
            sessions: self.most("sessions", defaults.sessions, MOST_SESSIONS),
            session_ttl: self.parsed("session_ttl", session_ttl).unwrap_or(defaults.session_ttl),
        }
    }

    fn size(&mut self, path: &'static str, default: u64) -> u64 {
        let read = match self.value(path) {
            Value::Null => return default,
            Value::Number(number) => number.as_u64().ok_or_else(|| format!("{number} is not a size; write 10GiB")),
            Value::String(text) => parse_size(text),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("must be a size like 10GiB".to_owned()),
        };
        match read {
            Ok(0) => self.problem(path, "must be more than nothing"),
            Ok(bytes) => return bytes,
            Err(message) => self.problem(path, message),
        }
        default
    }

    /// What every manifest is read with bounds it.
    fn manifest_bytes(&mut self, most: u64) -> u64 {
        let bytes = self.size("manifest", most);
        if bytes > most {
            self.problem("manifest", "must be 4MiB or less: no manifest is read beyond that");
        }
        bytes
    }

    fn untagged(&mut self) -> Option<Untagged> {
        let delete = self.flag("delete_untagged")?;
        Some(if delete { Untagged::Delete } else { Untagged::Keep })
    }

    fn most(&mut self, path: &'static str, default: u32, most: u32) -> u32 {
        let number = match self.value(path) {
            Value::Null => return default,
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| (1..=most).contains(number));
        number.unwrap_or_else(|| {
            self.problem(path, format!("must be a whole number from 1 to {most}"));
            default
        })
    }
}

fn session_ttl(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        ttl if ttl < SHORTEST_TTL => Err(format!("'{text}' is too short; write 1m or more")),
        ttl => Ok(ttl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::ConfiguredRepository;
    use serde_json::json;

    fn read(document: &Value) -> Result<HostedSpec, Vec<String>> {
        match ConfiguredRepository::from_document("r".parse().unwrap(), document, Provenance::Api) {
            Ok(ConfiguredRepository::Hosted(spec)) => Ok(*spec),
            Ok(ConfiguredRepository::Proxy(_) | ConfiguredRepository::Group(_)) => panic!("read as another kind"),
            Err(problems) => Err(problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()),
        }
    }

    #[test]
    fn a_hosted_repository_needs_nothing_but_its_kind() {
        let spec = read(&json!({ "kind": "hosted" })).unwrap();
        assert_eq!((spec.push, spec.limits), (PushPolicy::Token, PushLimits::default()));
        let spec = read(&json!({
            "kind": "hosted", "push": "anyone", "immutable_tags": ["v*"], "hosts": ["r.example"],
            "push_limits": {
                "manifest": "1MiB", "layers": 50, "children": "20",
                "blob": "10GiB", "staged": 1000, "sessions": "5", "session_ttl": "2h",
            },
            "gc": { "delete_untagged": true },
        }));
        let spec = spec.unwrap();
        assert_eq!(spec.push, PushPolicy::Anyone);
        assert!(spec.is_immutable(&"v1".parse().unwrap()) && !spec.is_immutable(&"latest".parse().unwrap()));
        let limits = PushLimits {
            manifest_bytes: 1 << 20,
            layers: 50,
            children: 20,
            blob_bytes: 10 << 30,
            staged_bytes: 1000,
            sessions: 5,
            session_ttl: Duration::from_hours(2),
        };
        assert_eq!((spec.limits, spec.untagged), (limits, Some(Untagged::Delete)));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let found = read(&json!({
            "kind": "hosted", "upstream": "https://r.example", "tag_ttl": "5m", "push": "everybody", "pusch": 1,
            "push_limits": {
                "blob": 0, "sessions": 0, "session_ttl": "1s", "x": 1, "manifest": "5MiB", "layers": 1001, "children": 0,
            },
            "gc": { "delete_untagged": "sometimes", "interval": "1h" },
        }));
        let mut found = found.unwrap_err();
        found.sort();
        let expected = [
            "gc.delete_untagged: must be true or false",
            "gc.interval: unknown field",
            "pusch: unknown field",
            "push: 'everybody' is not who may push",
            "push_limits.blob: must be more than nothing",
            "push_limits.children: must be a whole number",
            "push_limits.layers: must be a whole number",
            "push_limits.manifest: must be 4MiB or less",
            "push_limits.session_ttl: '1s' is too short",
            "push_limits.sessions: must be a whole number",
            "push_limits.x: unknown field",
            "tag_ttl: a hosted repository has no 'tag_ttl'",
            "upstream: a hosted repository has no 'upstream'",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }

    #[test]
    fn what_keeps_everything_cannot_collect_what_is_untagged() {
        let both = json!({ "kind": "hosted", "immutable": true, "gc": { "delete_untagged": true } });
        let found = read(&both).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with("gc.delete_untagged: an immutable repository"), "{found:?}");
        let kept = json!({ "kind": "hosted", "immutable": true, "gc": { "delete_untagged": false } });
        assert!(read(&kept).is_ok());
    }

    #[test]
    fn a_proxy_takes_no_pushes() {
        let document = json!({ "upstream": "https://r.example", "push": "anyone" });
        let found = ConfiguredRepository::from_document("r".parse().unwrap(), &document, Provenance::Api).unwrap_err();
        assert_eq!(found.len(), 1);
        assert!(found[0].path == "push" && found[0].message.contains("kind hosted"), "{found:?}");
    }
}
