//! The credentials of one upstream as they were configured.
//!
//! Must not know how any of them is obtained. Invariants: an entry is used for the repositories below its prefix only,
//! and prefixes end at a slash; nothing here touches files, programs or the network.

use std::fmt;
use std::sync::Arc;

use super::source::CredentialSource;
use crate::basic::Credential;

/// One configured credential.
#[derive(Clone, Debug)]
pub struct CredentialEntry {
    /// What people call it: in logs, errors and explanations.
    pub name: Arc<str>,
    /// The repositories it is for: this one and those below it. `None` is all.
    pub repositories: Option<String>,
    /// Where it comes from.
    pub source: CredentialSource,
}

/// Which credential would be used: by name, never by content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialLabel {
    /// The entry's name.
    pub name: Arc<str>,
    /// What kind of source it has: `password`, `docker_config`, `ecr`, ….
    pub kind: &'static str,
}

/// All credentials of one upstream. Cheap to clone.
#[derive(Clone, Default)]
pub struct CredentialStore {
    entries: Arc<[CredentialEntry]>,
}

impl CredentialStore {
    /// No credential: everything is asked anonymously.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// One credential for everything, named `auth`.
    pub fn fixed(credential: Credential) -> Self {
        let source = CredentialSource::Fixed(credential);
        Self::new(vec![CredentialEntry { name: "auth".into(), repositories: None, source }])
    }

    /// Several. The longest prefix that fits a repository goes first; entries with the same prefix share the load.
    pub fn new(entries: Vec<CredentialEntry>) -> Self {
        let mut entries = entries;
        // Stable: within one prefix the written order stays.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix().len()));
        Self { entries: entries.into() }
    }

    /// Whether there is none at all.
    pub fn is_anonymous(&self) -> bool {
        self.entries.is_empty()
    }

    /// The credential that would be asked for first for this repository (its name below the upstream's URL; `None` for
    /// `/v2/` itself). Says nothing of whether it can be obtained. No network, files or programs.
    pub fn describe(&self, repository: Option<&str>) -> Option<CredentialLabel> {
        self.groups(repository).flatten().next().map(|at| self.entries[at].label())
    }

    /// All entries, in the order of their prefixes.
    pub fn labels(&self) -> impl Iterator<Item = CredentialLabel> {
        self.entries.iter().map(CredentialEntry::label)
    }

    pub(super) fn entries(&self) -> &[CredentialEntry] {
        &self.entries
    }

    /// The positions of the entries that fit, in groups of one prefix each, the longest first.
    pub(super) fn groups(&self, repository: Option<&str>) -> impl Iterator<Item = Vec<usize>> {
        let mut fitting: Vec<usize> = (0..self.entries.len()).filter(|at| self.entries[*at].fits(repository)).collect();
        if fitting.is_empty() && repository.is_none() {
            // `/v2/` belongs to no repository; any login shows that logins are taken.
            fitting.extend((!self.entries.is_empty()).then_some(0));
        }
        let same = |a: &usize, b: &usize| self.entries[*a].prefix() == self.entries[*b].prefix();
        fitting.chunk_by(same).map(<[usize]>::to_vec).collect::<Vec<_>>().into_iter()
    }
}

impl CredentialEntry {
    fn prefix(&self) -> &str {
        self.repositories.as_deref().unwrap_or_default().trim_matches('/')
    }

    fn fits(&self, repository: Option<&str>) -> bool {
        let prefix = self.prefix();
        let below = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        prefix.is_empty() || repository.is_some_and(below)
    }

    fn label(&self) -> CredentialLabel {
        CredentialLabel { name: self.name.clone(), kind: self.source.kind() }
    }
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.labels()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn entry(name: &str, prefix: Option<&str>) -> CredentialEntry {
        let source = CredentialSource::Fixed(Credential::Bearer(Secret::new("canary")));
        CredentialEntry { name: name.into(), repositories: prefix.map(str::to_owned), source }
    }

    #[test]
    fn the_longest_prefix_goes_first_and_ends_at_a_slash() {
        let store = CredentialStore::new(vec![
            entry("all", None),
            entry("org", Some("org")),
            entry("deep", Some("org/private/")),
            entry("twin", Some("org/private")),
        ]);
        let order = |repository: Option<&str>| {
            let names = |group: Vec<usize>| group.iter().map(|at| store.entries[*at].name.to_string()).collect();
            store.groups(repository).map(names).collect::<Vec<Vec<String>>>()
        };
        assert_eq!(order(Some("org/private/app")), [vec!["deep", "twin"], vec!["org"], vec!["all"]]);
        assert_eq!(order(Some("org/private")), [vec!["deep", "twin"], vec!["org"], vec!["all"]]);
        assert_eq!(order(Some("org/privateer")), [vec!["org"], vec!["all"]]);
        assert_eq!(order(Some("organ")), [vec!["all"]]);
        assert_eq!(order(None), [vec!["all"]]);
        assert_eq!(store.describe(Some("org/x")).unwrap().name.as_ref(), "org");
        assert!(!format!("{store:?}").contains("canary"));
    }

    #[test]
    fn the_root_of_the_api_takes_any_login() {
        let store = CredentialStore::new(vec![entry("org", Some("org"))]);
        assert_eq!(store.describe(None).unwrap().name.as_ref(), "org");
        assert_eq!(store.describe(Some("other/x")), None);
        assert_eq!(CredentialStore::anonymous().describe(None), None);
    }
}
