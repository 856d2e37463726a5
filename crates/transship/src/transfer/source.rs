//! Where images are taken from: a registry, or files.
//!
//! Must not know where they go. Invariants: a manifest that leaves this file has the digest it carries, and its bytes as they
//! were; blobs are read from any offset.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use client::{ManifestFetch, ReferrersApi, RegistryClient};
use image_archive::ImageFiles;
use oci::{Descriptor, Digest, ManifestFacts, MediaType, Reference, RepositoryName, Tag};

use super::blob::{FileBlob, RegistryBlob};
use super::cosign;
use super::error::{Reason, TransferError};

/// A manifest and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) digest: Digest,
    pub(crate) facts: ManifestFacts,
    pub(crate) bytes: Bytes,
}

impl Node {
    fn read(digest: Digest, bytes: Bytes, media_type: Option<&MediaType>) -> Result<Self, TransferError> {
        let facts = ManifestFacts::parse(&bytes, media_type).map_err(|error| {
            TransferError::new(Reason::Other, format!("the manifest {digest} cannot be used: {error}"))
        })?;
        Ok(Self { digest, facts, bytes })
    }
}

/// Where images are taken from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A name of a registry.
    Registry { client: RegistryClient, name: RepositoryName },
    /// A layout or an archive.
    Files(Arc<FilesSource>),
}

/// Files, and which of their manifests refer to which.
pub(crate) struct FilesSource {
    pub(crate) files: ImageFiles,
    subjects: Mutex<Option<Arc<Subjects>>>,
    unreadable: Unreadable,
    /// What is called as cosign calls what it puts beside an image.
    beside: HashMap<String, Digest>,
}

/// What is made of manifests that cannot be read, and might refer to the image that is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The transfer fails: it would lose what refers to its image.
    Fails,
    /// Nothing: each of them is moved for itself, and fails then.
    Skipped,
}

/// Who refers to what.
#[derive(Default)]
struct Subjects {
    /// For each subject, those that refer to it: the name of the entry, and the manifest.
    known: HashMap<Digest, Vec<(Option<String>, Digest)>>,
    /// Those without a tag that cannot be read, and why: they may refer to anything.
    unreadable: Vec<(Option<String>, TransferError)>,
}

impl Source {
    pub(crate) fn of_files(files: ImageFiles, unreadable: Unreadable) -> Self {
        let named =
            files.entries().iter().filter_map(|entry| Some((entry.name()?.to_owned(), entry.descriptor.digest)));
        let beside = named.filter(|(name, _)| cosign::is_beside(name)).collect();
        Self::Files(Arc::new(FilesSource { files, subjects: Mutex::default(), unreadable, beside }))
    }

    /// A manifest; `media_type`: what its descriptor says it is.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
        media_type: Option<&MediaType>,
    ) -> Result<Node, TransferError> {
        match self {
            Self::Registry { client, name } => match client.get_manifest(name, reference, None).await? {
                ManifestFetch::Fetched { bytes, digest, media_type } => Node::read(digest, bytes, Some(&media_type)),
                ManifestFetch::NotModified => {
                    Err(TransferError::new(Reason::Network, "the registry answered 304 to a plain question"))
                }
            },
            Self::Files(source) => match reference {
                Reference::Digest(digest) => Node::read(*digest, source.files.manifest(digest)?.into(), media_type),
                Reference::Tag(tag) => Err(TransferError::new(Reason::NotFound, format!("there is no image {tag}"))),
            },
        }
    }

    /// A blob, as it stands there: not verified.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<Arc<dyn client::BlobSource>, TransferError> {
        match self {
            Self::Registry { client, name } => {
                Ok(Arc::new(RegistryBlob::new(client.clone(), name.clone(), descriptor.clone())))
            }
            Self::Files(source) => Ok(Arc::new(FileBlob(source.files.blob(descriptor)?))),
        }
    }

    /// Who refers to a manifest. `owner`: the name it is looked at for; where entries say whose they are, only its own refer.
    pub(crate) async fn referrers(&self, subject: &Digest, owner: Option<&str>) -> Result<Vec<Digest>, TransferError> {
        match self {
            Self::Registry { client, name } => {
                let found = client.referrers(name, subject, ReferrersApi::Ask).await?;
                match found.found {
                    // Those are tags of their own, and are looked for as such.
                    client::ReferrersFound::CosignTags => Ok(Vec::new()),
                    client::ReferrersFound::Api | client::ReferrersFound::Tag | client::ReferrersFound::Nowhere => {
                        Ok(found.listed.into_iter().map(|referrer| referrer.digest).collect())
                    }
                }
            }
            Self::Files(source) => {
                let subjects = source.subjects();
                let fits = |name: &Option<String>| match (name.as_deref().and_then(|name| name.split_once('@')), owner)
                {
                    (Some((of, _)), Some(owner)) => of == owner,
                    (Some(_), None) | (None, _) => true,
                };
                let unreadable = subjects.unreadable.iter().find(|(name, _)| fits(name));
                if let (Unreadable::Fails, Some((_, error))) = (source.unreadable, unreadable) {
                    return Err(error.clone().of(format!("what refers to {subject} cannot be told")));
                }
                let listed = subjects.known.get(subject).into_iter().flatten();
                Ok(listed.filter(|(name, _)| fits(name)).map(|(_, digest)| *digest).collect())
            }
        }
    }

    /// The image under a tag that cosign would have put beside another one.
    pub(crate) async fn beside(&self, tag: &Tag, owner: Option<&str>) -> Result<Option<Reference>, TransferError> {
        match self {
            Self::Registry { client, name } => match client.head_manifest(name, &tag.clone().into()).await {
                Ok(_) => Ok(Some(tag.clone().into())),
                Err(client::ClientError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Files(source) => {
                let full = owner.and_then(|owner| source.beside.get(&format!("{owner}:{tag}")));
                Ok(full.or_else(|| source.beside.get(tag.as_str())).map(|digest| (*digest).into()))
            }
        }
    }

    /// The same registry and name, if it is one.
    pub(crate) fn registry(&self) -> Option<(&RegistryClient, &RepositoryName)> {
        match self {
            Self::Registry { client, name } => Some((client, name)),
            Self::Files(_) => None,
        }
    }
}

impl FilesSource {
    /// Read once: every manifest that the index lists. One that cannot be read does not stop the others.
    fn subjects(&self) -> Arc<Subjects> {
        let mut kept = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subjects) = &*kept {
            return subjects.clone();
        }
        let mut subjects = Subjects::default();
        for entry in self.files.entries() {
            let digest = entry.descriptor.digest;
            let bytes = match self.files.manifest(&digest) {
                Ok(bytes) => bytes,
                Err(error) => {
                    if entry.name().is_none_or(|name| name.contains('@')) {
                        subjects.unreadable.push((entry.name().map(str::to_owned), error.into()));
                    }
                    continue;
                }
            };
            // What is no manifest for us fails when it is asked for, not here.
            let Ok(facts) = ManifestFacts::parse(&bytes, Some(&entry.descriptor.media_type)) else { continue };
            if let Some(subject) = facts.subject {
                subjects.known.entry(subject.digest).or_default().push((entry.name().map(str::to_owned), digest));
            }
        }
        let subjects = Arc::new(subjects);
        *kept = Some(subjects.clone());
        subjects
    }
}
