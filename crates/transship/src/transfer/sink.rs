//! Where images are put: a registry, or a layout.
//!
//! Must not know where they come from. Invariants: what is there is not moved again; a manifest is put after what it names; a
//! referrer is listed by the registry, or else under the tag that the specification has for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use client::{BlobPushed, BlobSource, RegistryClient, SubjectListed, UploadRule};
use futures_util::StreamExt as _;
use image_archive::{LayoutWriter, Partial};
use oci::{Descriptor, Digest, DigestAlgorithm, Reference, RepositoryName, Tag};

use super::error::{Reason, TransferError};
use super::source::{Node, Source};
use super::tally::{Blob, Manifest, Tally};
use super::verified::{Stop, Verified};

/// Where images are put.
#[derive(Clone)]
pub(crate) enum Sink {
    /// A name of a registry.
    Registry { client: RegistryClient, name: RepositoryName, rule: UploadRule, elsewhere: Elsewhere },
    /// A layout.
    Layout(Arc<LayoutWriter>),
}

/// Which names of the registry got which blobs during this command: they can be mounted from there.
pub(crate) type Elsewhere = Arc<Mutex<HashMap<Digest, RepositoryName>>>;

impl Sink {
    /// Brings a blob there.
    pub(crate) async fn put_blob(
        &self,
        source: &Source,
        blob: &Descriptor,
        tally: &Tally,
        stop: &Stop,
    ) -> Result<(), TransferError> {
        stop.check()?;
        let outcome = match self {
            Self::Layout(writer) if writer.has(blob) => Blob::There,
            Self::Layout(writer) => {
                let stored = store(writer, &*source.blob(blob)?, blob, tally, stop).await;
                stored.map_err(|error| error.of(format!("the blob {}", blob.digest)))?;
                Blob::Moved
            }
            Self::Registry { client, name, rule, elsewhere } => {
                let outcome = if client.has_blob(name, &blob.digest).await? {
                    Blob::There
                } else {
                    let from = mount_from(source, client, name, elsewhere, &blob.digest);
                    let verified = Verified::new(source.blob(blob)?, blob.clone(), tally.clone(), stop.clone());
                    let pushed =
                        client.push_blob(name, (&blob.digest, blob.size), from.as_ref(), &verified, *rule).await?;
                    match pushed {
                        BlobPushed::Mounted => Blob::Mounted,
                        BlobPushed::Uploaded => Blob::Moved,
                    }
                };
                let mut known = elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
                known.entry(blob.digest).or_insert_with(|| name.clone());
                outcome
            }
        };
        tally.blob(outcome);
        Ok(())
    }

    /// Whether a manifest is there, and with it all that it names.
    pub(crate) async fn has(&self, node: &Node) -> Result<bool, TransferError> {
        match self {
            Self::Layout(_) => Ok(false),
            Self::Registry { client, name, .. } => {
                Ok(client.has_manifest(name, &node.digest.into(), &node.digest).await?)
            }
        }
    }

    /// Lists what is there and refers to something, where the registry does not do so: an earlier run may have been stopped
    /// between the two.
    pub(crate) async fn relist(&self, node: &Node) -> Result<(), TransferError> {
        match self {
            Self::Registry { client, name, .. } => {
                Ok(client.list_if_registry_does_not(name, node.digest, &node.bytes, &node.facts).await?)
            }
            Self::Layout(_) => Ok(()),
        }
    }

    /// Puts a manifest, under its digest or a tag.
    pub(crate) async fn put_manifest(
        &self,
        node: &Node,
        tag: Option<&Tag>,
        tally: &Tally,
    ) -> Result<(), TransferError> {
        let outcome = match self {
            Self::Layout(writer) => {
                let blob = Descriptor {
                    media_type: node.facts.media_type.clone(),
                    digest: node.digest,
                    size: node.bytes.len() as u64,
                };
                if writer.has(&blob) {
                    Manifest::There
                } else {
                    writer.put_manifest(&node.digest, &node.bytes)?;
                    Manifest::Moved
                }
            }
            Self::Registry { client, name, .. } => {
                let reference = tag.map_or(node.digest.into(), |tag| Reference::from(tag.clone()));
                if client.has_manifest(name, &reference, &node.digest).await? {
                    self.relist(node).await?;
                    Manifest::There
                } else {
                    let (kind, bytes) = (&node.facts.media_type, &node.bytes);
                    let listed = match tag {
                        // Under a tag alone, a registry takes it for the sha256 of its bytes.
                        Some(tag) if node.digest.algorithm() != DigestAlgorithm::Sha256 => {
                            client.push_tagged_manifest(name, (&node.digest, tag), kind, bytes).await?
                        }
                        Some(_) | None => client.push_manifest(name, &reference, kind, bytes).await?,
                    };
                    if listed == SubjectListed::No && node.facts.subject.is_some() {
                        client.list_under_referrers_tag(name, node.digest, &node.bytes, &node.facts).await?;
                    }
                    Manifest::Moved
                }
            }
        };
        tally.manifest(outcome);
        Ok(())
    }
}

fn mount_from(
    source: &Source,
    client: &RegistryClient,
    name: &RepositoryName,
    elsewhere: &Elsewhere,
    digest: &Digest,
) -> Option<RepositoryName> {
    let here = source.registry().filter(|(from, other)| from.origin() == client.origin() && *other != name);
    let known = || elsewhere.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
    here.map(|(_, other)| other.clone()).or_else(known).filter(|from| from != name)
}

/// Writes a blob into the layout, from where an earlier run left it.
async fn store(
    writer: &LayoutWriter,
    source: &dyn BlobSource,
    blob: &Descriptor,
    tally: &Tally,
    stop: &Stop,
) -> Result<(), TransferError> {
    let partial = tokio::task::block_in_place(|| begin(writer, blob))?;
    let is_left = !partial.is_empty();
    match receive(partial, source, blob, tally, stop).await {
        // What was left was not of this blob, and is gone by now: once more, from the first byte.
        Err(error) if is_left && error.reason == Reason::Verification => {
            let partial = tokio::task::block_in_place(|| begin(writer, blob))?;
            receive(partial, source, blob, tally, stop).await
        }
        outcome => outcome,
    }
}

async fn receive(
    mut partial: Partial,
    source: &dyn BlobSource,
    blob: &Descriptor,
    tally: &Tally,
    stop: &Stop,
) -> Result<(), TransferError> {
    let mut bytes = source.open(partial.len()).await?;
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        stop.check()?;
        if partial.len() + piece.len() as u64 > blob.size {
            break;
        }
        tokio::task::block_in_place(|| partial.write(&piece))?;
        tally.bytes(piece.len());
    }
    Ok(tokio::task::block_in_place(|| partial.finish(blob.size))?)
}

fn begin(writer: &LayoutWriter, blob: &Descriptor) -> Result<Partial, TransferError> {
    let mut partial = writer.partial(&blob.digest)?;
    if partial.len() > blob.size {
        partial.restart()?;
    }
    Ok(partial)
}
