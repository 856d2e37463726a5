//! Adding, changing and removing repositories at run time.
//!
//! Must not know HTTP. Invariant: the database is written first, then the snapshot swaps; both under one lock, so
//! that two callers never interleave and a restart sees what the API acknowledged.

use std::sync::Arc;

use client::probe::{ImageRef, Probe, Report};
use metadata::MetadataError;
use oci::RepoKey;
use serde_json::Value;

use super::builtin;
use super::configured::{AnyRepository, ConfiguredRepository};
use super::document::{FieldProblem, Provenance};
use super::memberships::{self, Candidate, member_of};
use super::repository::Source;
use super::view;
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::workflow_loop;
use crate::retention;

/// A repository as shown to an administrator: no secrets.
#[derive(Clone, Debug)]
pub struct RepositoryView {
    /// Its key.
    pub key: RepoKey,
    /// Where its configuration stands.
    pub source: Source,
    /// Its document, with `key` and `source` added and credentials reduced to the user name.
    pub document: Value,
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The document has problems; all are listed.
    #[error("{} problem(s) in the repository document", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// A repository with this key exists.
    #[error("repository '{0}' exists already; use PUT to change it")]
    Exists(RepoKey),
    /// No repository has this key.
    #[error("no repository '{0}'; use POST /api/repos to create it")]
    NotFound(RepoKey),
    /// The repository stands in the configuration file.
    #[error("repository '{0}' stands in the configuration file; change it there and reload")]
    FromFile(RepoKey),
    /// The repository is built in.
    #[error(
        "repository '{0}' is built in and cannot be deleted; set builtin_upstreams: false to be without built-in ones"
    )]
    Builtin(RepoKey),
    /// The repository is hosted and not empty.
    #[error("repository '{0}' holds what was pushed to it; delete its manifests and blobs first")]
    HoldsContent(RepoKey),
    /// Groups need the repository as it is.
    #[error("repository '{key}' is a member of {}: {why}", groups.iter().map(|group| format!("group '{group}'")).collect::<Vec<_>>().join(", "))]
    MemberOf {
        /// The repository.
        key: RepoKey,
        /// The groups.
        groups: Vec<RepoKey>,
        /// What to do.
        why: String,
    },
    /// The client for a check cannot be set up.
    #[error("the upstream cannot be checked: {0}")]
    Uncheckable(String),
    /// Our own database failed.
    #[error("{0}")]
    Storage(PullError),
}

impl From<MetadataError> for RepositoryError {
    fn from(error: MetadataError) -> Self {
        Self::Storage(PullError::storage(&error))
    }
}

/// The administrator's handle on the repositories.
#[derive(Clone, Debug)]
pub struct RepositoryAdmin {
    core: Arc<Core>,
}

impl RepositoryAdmin {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// All repositories: groups and hosted ones first, then written ones, then built-in ones.
    pub fn list(&self) -> Vec<RepositoryView> {
        self.core.map().all().map(|repo| view(&repo)).collect()
    }

    /// The repository with `key`.
    pub fn get(&self, key: &RepoKey) -> Option<RepositoryView> {
        self.core.map().any(key.as_ref()).map(|repo| view(&repo))
    }

    /// Asks the upstream of `key` what pulls, lazy pulls and CDNs would ask (`client::probe`). Without an image, the one
    /// is taken whose tag was confirmed last; when there is none, only what needs no image is checked.
    pub async fn check(&self, key: &RepoKey, image: Option<ImageRef>) -> Result<Report, RepositoryError> {
        if self.core.map().hosted().get(key.as_ref()).is_some() {
            return Err(RepositoryError::Uncheckable(format!("'{key}' is a hosted repository and has no upstream")));
        }
        if self.core.map().groups().get(key.as_ref()).is_some() {
            return Err(RepositoryError::Uncheckable(format!(
                "'{key}' is a group; check its members, each by its key"
            )));
        }
        let repo = self.core.map().get(key.as_ref()).cloned().ok_or_else(|| RepositoryError::NotFound(key.clone()))?;
        let image = match image {
            Some(image) => Some(ImageRef { name: repo.canonical_name(image.name), ..image }),
            None => self
                .core
                .metadata
                .latest_tag(key)
                .await?
                .map(|(name, tag)| ImageRef { name, reference: Some(tag.into()) }),
        };
        let probe = Probe::of(repo.client()).map_err(|error| RepositoryError::Uncheckable(error.to_string()))?;
        Ok(Box::pin(probe.run(image.as_ref(), &|_| {})).await)
    }

    /// Adds the repository that `document` describes; its `key` field names it. A built-in one may be overridden.
    pub async fn create(&self, document: &Value) -> Result<RepositoryView, RepositoryError> {
        let spec = named(document)?;
        let key = spec.key().clone();
        let _guard = self.core.admin_lock.lock().await;
        match self.core.map().any(key.as_ref()).map(|r| r.source()) {
            Some(Source::File | Source::Api) => return Err(RepositoryError::Exists(key)),
            Some(Source::Builtin) | None => {}
        }
        self.refuse_conflicts(&spec)?;
        self.refuse_memberships(&spec)?;
        match self.core.metadata.insert_repository(&key, &spec.document().to_string()).await {
            Err(MetadataError::AlreadyExists { .. }) => return Err(RepositoryError::Exists(key)),
            other => other?,
        }
        self.publish(&key).await
    }

    /// Replaces the repository with `key`. Its tags are forgotten when it now pulls from elsewhere.
    pub async fn replace(&self, key: &RepoKey, document: &Value) -> Result<RepositoryView, RepositoryError> {
        if let Some(named) = document.get("key").filter(|named| named.as_str() != Some(key.as_ref())) {
            let message = format!("{named} is not the key in the address, '{key}'; a key cannot change");
            return Err(RepositoryError::Invalid(vec![FieldProblem { path: "key".into(), message }]));
        }
        let spec = checked(key.clone(), document)?;
        let _guard = self.core.admin_lock.lock().await;
        let current = self.core.map().any(key.as_ref()).ok_or_else(|| RepositoryError::NotFound(key.clone()))?;
        self.refuse_conflicts(&spec)?;
        self.refuse_memberships(&spec)?;
        if matches!(&current, AnyRepository::Hosted(_)) && !matches!(&spec, ConfiguredRepository::Hosted(_)) {
            self.refuse_while_holding(key).await?;
        }
        match current.source() {
            Source::File => return Err(RepositoryError::FromFile(key.clone())),
            Source::Builtin => self.core.metadata.insert_repository(key, &spec.document().to_string()).await?,
            Source::Api => {
                self.core.metadata.update_repository(key, &spec.document().to_string()).await?;
            }
        }
        let hosted = match &spec {
            ConfiguredRepository::Hosted(hosted) => Some(&**hosted),
            ConfiguredRepository::Proxy(_) | ConfiguredRepository::Group(_) => None,
        };
        retention::forget_unless_set(&self.core.metadata, key, hosted).await?;
        let same_content = match (&current, &spec) {
            (AnyRepository::Proxy(current), ConfiguredRepository::Proxy(spec)) => current.same_content_as(spec),
            (AnyRepository::Hosted(_), ConfiguredRepository::Hosted(_))
            | (AnyRepository::Group(_), ConfiguredRepository::Group(_)) => true,
            (AnyRepository::Proxy(_), ConfiguredRepository::Hosted(_) | ConfiguredRepository::Group(_))
            | (AnyRepository::Hosted(_), ConfiguredRepository::Proxy(_) | ConfiguredRepository::Group(_))
            | (AnyRepository::Group(_), ConfiguredRepository::Proxy(_) | ConfiguredRepository::Hosted(_)) => false,
        };
        if !same_content {
            self.core.forget_content(key).await?;
        }
        self.publish(key).await
    }

    /// Removes the repository with `key`; what it cached stays until evicted, but is no longer served under it. A hosted one
    /// goes only when it is empty.
    pub async fn delete(&self, key: &RepoKey) -> Result<(), RepositoryError> {
        let _guard = self.core.admin_lock.lock().await;
        match self.core.map().any(key.as_ref()).map(|r| r.source()) {
            None => return Err(RepositoryError::NotFound(key.clone())),
            Some(Source::File) => return Err(RepositoryError::FromFile(key.clone())),
            Some(Source::Builtin) => return Err(RepositoryError::Builtin(key.clone())),
            Some(Source::Api) => {}
        }
        let groups = member_of(&self.core.map(), key);
        if !groups.is_empty() {
            let why = "take it out of their members first".to_owned();
            return Err(RepositoryError::MemberOf { key: key.clone(), groups, why });
        }
        self.refuse_while_holding(key).await?;
        self.core.metadata.delete_repository(key).await?;
        self.core.metadata.release_group_names(key).await?;
        retention::forget_unless_set(&self.core.metadata, key, None).await?;
        self.core.forget_content(key).await?;
        self.core.rebuild_map().await.map_err(RepositoryError::Storage)
    }

    async fn publish(&self, key: &RepoKey) -> Result<RepositoryView, RepositoryError> {
        self.core.rebuild_map().await.map_err(RepositoryError::Storage)?;
        self.get(key).ok_or_else(|| RepositoryError::NotFound(key.clone()))
    }

    /// What was pushed is nowhere else: it goes by being deleted, and not because a line of configuration does.
    async fn refuse_while_holding(&self, key: &RepoKey) -> Result<(), RepositoryError> {
        if self.core.metadata.has_hosted_content(key).await? {
            return Err(RepositoryError::HoldsContent(key.clone()));
        }
        Ok(())
    }

    /// Refuses a group whose members are not there or cannot be members, a member that its groups could not have, and
    /// promotions from what is not there or not hosted.
    fn refuse_memberships(&self, spec: &ConfiguredRepository) -> Result<(), RepositoryError> {
        let map = self.core.map();
        let kind_of = |key: &RepoKey| {
            if key == spec.key() {
                return Some(Candidate::of_spec(spec));
            }
            map.any(key.as_ref()).map(|repo| Candidate::of(&repo))
        };
        let problems = match spec {
            ConfiguredRepository::Group(group) => memberships::check(group, kind_of),
            ConfiguredRepository::Hosted(hosted) => memberships::check_sources(hosted, kind_of),
            ConfiguredRepository::Proxy(_) => Vec::new(),
        };
        if !problems.is_empty() {
            return Err(RepositoryError::Invalid(problems));
        }
        let hurt = map.groups().iter().filter(|group| group.spec().members.contains(spec.key()));
        // Only what this one changes: what else may be wrong with a group is not in its way.
        let only_this =
            |key: &RepoKey| Some(if key == spec.key() { Candidate::of_spec(spec) } else { Candidate::Hosted });
        let hurt = hurt.map(|group| (group.spec().key.clone(), memberships::check(group.spec(), only_this)));
        let (groups, problems): (Vec<_>, Vec<_>) = hurt.filter(|(_, problems)| !problems.is_empty()).unzip();
        if groups.is_empty() {
            return Ok(());
        }
        let why = problems.into_iter().flatten().map(|problem| problem.message).collect::<Vec<_>>().join("; ");
        Err(RepositoryError::MemberOf { key: spec.key().clone(), groups, why })
    }

    /// Refuses host names and listeners that another repository has.
    fn refuse_conflicts(&self, spec: &ConfiguredRepository) -> Result<(), RepositoryError> {
        let map = self.core.map();
        let mut problems = Vec::new();
        for address in spec.listen().iter().filter(|a| self.core.main_ports.contains(&a.port())) {
            let message = format!("port {} serves all repositories; choose another", address.port());
            problems.push(FieldProblem { path: "listen".into(), message });
        }
        for other in map.all().filter(|other| other.key() != spec.key()) {
            for host in spec.hosts().iter().filter(|h| other.hosts().contains(h)) {
                let message = format!("'{host}' belongs to repository '{}'", other.key());
                problems.push(FieldProblem { path: "hosts".into(), message });
            }
            for address in spec.listen().iter().filter(|a| other.listen().iter().any(|b| a.port() == b.port())) {
                let message = format!("port {} belongs to repository '{}'", address.port(), other.key());
                problems.push(FieldProblem { path: "listen".into(), message });
            }
        }
        let others = map.hosted().iter().filter(|other| other.spec().key != *spec.key());
        let mut promoted: Vec<_> =
            others.map(|other| (&other.spec().key, other.spec().takes_from().collect())).collect();
        promoted.push((spec.key(), spec.takes_from()));
        if let Some(key) = workflow_loop(&promoted) {
            let message = format!("pushes to '{key}' would be promoted back to it; set run: hand on one of them");
            problems.push(FieldProblem { path: "promote".into(), message });
        }
        if problems.is_empty() { Ok(()) } else { Err(RepositoryError::Invalid(problems)) }
    }
}

/// The built-in repositories' specs.
pub(crate) fn builtin_specs() -> impl Iterator<Item = (RepoKey, Value)> {
    builtin::all().map(builtin::document)
}

/// Reads and checks a document that names itself. What is wrong with the key is told together with the rest.
fn named(document: &Value) -> Result<ConfiguredRepository, RepositoryError> {
    let mut problems = match key_of(document) {
        Ok(key) => return checked(key, document),
        Err(problem) => vec![problem],
    };
    if document.is_object() {
        // The key takes no part in the check of the other fields.
        let stand_in = "unnamed".parse().expect("this is a key");
        if let Err(RepositoryError::Invalid(others)) = checked(stand_in, document) {
            problems.extend(others);
        }
    }
    Err(RepositoryError::Invalid(problems))
}

fn key_of(document: &Value) -> Result<RepoKey, FieldProblem> {
    let problem = |message: String| FieldProblem { path: "key".into(), message };
    match document.get("key") {
        Some(Value::String(key)) => key.parse().map_err(|e: oci::InvalidRepoKey| problem(e.to_string())),
        Some(_) => Err(problem("must be a string".into())),
        None if document.is_object() => {
            Err(problem("required: the first path segment of its images, like \"corp\"".into()))
        }
        None => Err(FieldProblem { path: String::new(), message: "the body must be a JSON object".into() }),
    }
}

/// Checks the document and drops its `key`, which is stored beside it.
fn checked(key: RepoKey, document: &Value) -> Result<ConfiguredRepository, RepositoryError> {
    let mut document = document.clone();
    if let Some(object) = document.as_object_mut() {
        object.remove("key");
    }
    ConfiguredRepository::from_document(key, &document, Provenance::Api).map_err(RepositoryError::Invalid)
}

fn view(repo: &AnyRepository) -> RepositoryView {
    let document = match repo {
        AnyRepository::Proxy(repo) => view::document(repo),
        AnyRepository::Hosted(repo) => view::hosted(repo),
        AnyRepository::Group(repo) => view::group(repo),
    };
    RepositoryView { key: repo.key().clone(), source: repo.source(), document }
}
