//! What a request was about, for its line in the log: which repository, and behind a group which member.
//!
//! Must not know the other fields of the line. Invariant: no credential is in an address.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use oci::{Reference, RepositoryName};
use registry::{AnsweredBy, PullKind, Resolved};

use super::json_line::JsonLine;

/// What a `/v2` request was about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) kind: PullKind,
    pub(crate) repo_key: Arc<str>,
    /// The address of the repository's upstream, if it has one.
    pub(crate) upstream: Option<Arc<str>>,
    pub(crate) name: RepositoryName,
    pub(crate) reference: Option<Reference>,
    /// The member that answers for the group `repo_key`.
    pub(crate) member: Option<Member>,
}

/// A member of a group that answers for it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) key: Arc<str>,
    /// Why this one.
    pub(crate) by: AnsweredBy,
}

impl Subject {
    /// The same thing, asked for through a group.
    pub(crate) fn through(self, group: &Arc<str>, resolved: &Resolved) -> Self {
        match resolved.by {
            // The group answers for itself.
            AnsweredBy::All => self,
            by => {
                let key = self.repo_key.clone();
                Self { repo_key: group.clone(), member: Some(Member { key, by }), ..self }
            }
        }
    }

    /// The same thing, pushed through a group.
    pub(crate) fn pushed_through(self, group: &Arc<str>) -> Self {
        let member = Some(Member { key: self.repo_key.clone(), by: AnsweredBy::PushTo });
        Self { repo_key: group.clone(), member, ..self }
    }

    /// The words of its kind in paths.
    fn words(&self) -> &'static str {
        match self.kind {
            PullKind::Manifest => "manifests",
            PullKind::Blob => "blobs",
            PullKind::Tags => "tags",
            PullKind::Referrers => "referrers",
        }
    }

    /// The same thing's address at its upstream, without credentials.
    pub(super) fn upstream_url(&self) -> Option<String> {
        let mut url = format!("{}/v2/{}/{}/", self.upstream.as_ref()?, self.name, self.words());
        match &self.reference {
            // Writing to a string cannot fail.
            Some(reference) => _ = write!(url, "{reference}"),
            None => url.push_str("list"),
        }
        Some(url)
    }
}

impl Subject {
    pub(super) fn write(&self, line: &mut JsonLine<'_>) -> io::Result<()> {
        // Keys, names and tags are of grammars without anything that needs escaping.
        line.parts("kind", &[self.kind.as_str()]);
        line.parts("repo_key", &[&self.repo_key]);
        if let Some(member) = &self.member {
            line.parts("member", &[&member.key]);
            line.parts("answered_by", &[member.by.as_str()]);
        }
        line.parts("name", &[self.name.as_str()]);
        let Some(reference) = &self.reference else {
            return self.upstream_url().map_or(Ok(()), |url| line.text("upstream_url", &url));
        };
        let digest = reference.digest().map(ToString::to_string);
        let (text, kind) = match (reference.tag(), &digest) {
            (Some(tag), _) => (tag.as_str(), "tag"),
            (None, digest) => (digest.as_deref().unwrap_or_default(), "digest"),
        };
        line.parts("reference", &[text]);
        line.parts("reference_kind", &[kind]);
        let Some(upstream) = &self.upstream else { return Ok(()) };
        line.text_with("upstream_url", upstream, &["/v2/", self.name.as_str(), "/", self.words(), "/", text])
    }
}
