//! Whether the repositories that others name are there, and of the kind it takes: members of groups, and where promotions
//! come from.
//!
//! Must not know documents. Invariants: a group has no member that is a group itself, nor one whose callers have rights of
//! their own: what one caller may see would be another's through the group.

use oci::RepoKey;

use super::FieldProblem;
use super::admin::builtin_specs;
use super::configured::{AnyRepository, ConfiguredRepository};
use super::map::RepositoryMap;
use crate::core::Builtins;
use crate::groups::GroupSpec;
use crate::hosted::{HostedSpec, Workflow};

/// What matters of a repository that is, or is to be, a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Hosted,
    Proxy,
    Passthrough,
    Group,
}

impl Candidate {
    pub(super) fn of_spec(spec: &ConfiguredRepository) -> Self {
        match spec {
            ConfiguredRepository::Hosted(_) => Self::Hosted,
            ConfiguredRepository::Group(_) => Self::Group,
            ConfiguredRepository::Proxy(spec) if spec.passthrough.is_some() => Self::Passthrough,
            ConfiguredRepository::Proxy(_) => Self::Proxy,
        }
    }

    pub(super) fn of(repository: &AnyRepository) -> Self {
        match repository {
            AnyRepository::Hosted(_) => Self::Hosted,
            AnyRepository::Group(_) => Self::Group,
            AnyRepository::Proxy(repo) if repo.is_passthrough() => Self::Passthrough,
            AnyRepository::Proxy(_) => Self::Proxy,
        }
    }

    /// Why it cannot be a member, if it cannot.
    pub(crate) fn objection(self) -> Option<&'static str> {
        match self {
            Self::Hosted | Self::Proxy => None,
            Self::Passthrough => Some(
                "has auth: passthrough, so its callers have rights of their own, which a group cannot keep apart; address it by its own key",
            ),
            Self::Group => Some("is a group; name its members instead"),
        }
    }
}

/// What is wrong with the members of one group.
pub(super) fn check(spec: &GroupSpec, kind_of: impl Fn(&RepoKey) -> Option<Candidate>) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    for (index, member) in spec.members.iter().enumerate() {
        let wrong = match kind_of(member) {
            None => Some(format!("there is no repository '{member}'")),
            Some(kind) => kind.objection().map(|objection| format!("'{member}' {objection}")),
        };
        problems.extend(wrong.map(|message| FieldProblem { path: format!("members[{index}]"), message }));
    }
    if let Some(index) = spec.push_to {
        let member = &spec.members[index];
        match kind_of(member) {
            Some(Candidate::Hosted) | None => {}
            Some(Candidate::Proxy | Candidate::Passthrough | Candidate::Group) => {
                let message = format!("'{member}' takes no pushes; name a member of kind hosted");
                problems.push(FieldProblem { path: "push_to".into(), message });
            }
        }
    }
    problems
}

/// What is wrong with where the promotions of one repository come from: a rule about a repository that is not there, or
/// that nothing is promoted from, would look as if it held.
pub(super) fn check_sources(spec: &HostedSpec, kind_of: impl Fn(&RepoKey) -> Option<Candidate>) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    for (index, Workflow { from, .. }) in spec.promote.iter().enumerate() {
        let wrong = match kind_of(from) {
            Some(Candidate::Hosted) => continue,
            None => format!("there is no repository '{from}'"),
            Some(Candidate::Proxy | Candidate::Passthrough) => format!(
                "'{from}' is a cache of an upstream; copy images into a hosted repository (transship copy), and name that one"
            ),
            Some(Candidate::Group) => format!("'{from}' is a group; name the hosted member that it comes from"),
        };
        problems.push(FieldProblem { path: format!("promote[{index}].from"), message: wrong });
    }
    problems
}

/// What is wrong with the repositories that those in a configuration file name: members of groups, and where promotions
/// come from. They stand there too, or are built in: what comes and goes over the API is nothing a file can rely on.
pub fn check_references(specs: &[ConfiguredRepository], builtins: Builtins) -> Vec<(RepoKey, FieldProblem)> {
    let builtin: Vec<RepoKey> = match builtins {
        Builtins::Included => builtin_specs().map(|(key, _)| key).collect(),
        Builtins::Excluded => Vec::new(),
    };
    let kind_of = |key: &RepoKey| {
        let written = specs.iter().find(|spec| spec.key() == key).map(Candidate::of_spec);
        written.or_else(|| builtin.contains(key).then_some(Candidate::Proxy))
    };
    let found = specs.iter().flat_map(|spec| {
        let problems = match spec {
            ConfiguredRepository::Group(group) => check(group, kind_of),
            ConfiguredRepository::Hosted(hosted) => check_sources(hosted, kind_of),
            ConfiguredRepository::Proxy(_) => Vec::new(),
        };
        problems.into_iter().map(|problem| (spec.key().clone(), problem))
    });
    found.collect()
}

/// The groups that have `key` as a member.
pub(crate) fn member_of(map: &RepositoryMap, key: &RepoKey) -> Vec<RepoKey> {
    let groups = map.groups().iter().filter(|group| group.spec().members.contains(key));
    groups.map(|group| group.spec().key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::Provenance;
    use serde_json::{Value, json};

    fn problems(repos: &[(&str, Value)], builtins: Builtins) -> Vec<String> {
        let read = |(key, document): &(&str, Value)| {
            ConfiguredRepository::from_document(key.parse().unwrap(), document, Provenance::File).unwrap()
        };
        let specs: Vec<_> = repos.iter().map(read).collect();
        let found = check_references(&specs, builtins);
        found.into_iter().map(|(key, problem)| format!("{key}.{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn members_are_there_and_of_a_kind_that_can_be_one() {
        let proxy = || json!({ "upstream": "https://r.example" });
        let private = || json!({ "upstream": "https://r.example", "auth": "passthrough" });
        let good = [
            ("rel", json!({ "kind": "hosted" })),
            ("corp", proxy()),
            ("all", json!({ "kind": "group", "members": ["rel", "corp", "dockerhub"], "push_to": "rel" })),
        ];
        assert_eq!(problems(&good, Builtins::Included), [""; 0]);
        assert_eq!(problems(&good, Builtins::Excluded), ["all.members[2]: there is no repository 'dockerhub'"]);
        let bad = [
            ("corp", proxy()),
            ("mine", private()),
            ("all", json!({ "kind": "group", "members": ["corp", "mine", "more"], "push_to": "corp" })),
            ("more", json!({ "kind": "group", "members": ["corp"] })),
        ];
        let found = problems(&bad, Builtins::Excluded);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("all.members[1]: 'mine' has auth: passthrough"), "{found:?}");
        assert!(found[1].starts_with("all.members[2]: 'more' is a group"), "{found:?}");
        assert!(found[2].starts_with("all.push_to: 'corp' takes no pushes"), "{found:?}");
    }
    #[test]
    fn promotions_come_from_hosted_repositories_that_are_there() {
        let rel = |from: &str| json!({ "kind": "hosted", "promote": [{ "from": "dev" }, { "from": from }] });
        for (from, problem) in [
            ("dve", "there is no repository 'dve'"),
            ("corp", "'corp' is a cache of an upstream; copy images into a hosted repository"),
            ("dockerhub", "'dockerhub' is a cache of an upstream"),
            ("all", "'all' is a group; name the hosted member"),
        ] {
            let repos = [
                ("dev", json!({ "kind": "hosted" })),
                ("corp", json!({ "upstream": "https://r.example" })),
                ("all", json!({ "kind": "group", "members": ["dev"] })),
                ("rel", rel(from)),
            ];
            let found = problems(&repos, Builtins::Included);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("rel.promote[1].from: {problem}")), "{found:?}");
        }
    }
}
