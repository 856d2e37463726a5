//! One image from a source to a sink: with its children, its blobs and, where wanted, all that refers to it.
//!
//! Must not know registries or files. Invariants: blobs first, then children, then the image itself, its tag with it; then
//! what refers to it. So whatever stops a transfer, nothing at the other end names what is not there.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use futures_util::{StreamExt as _, stream};
use oci::{Descriptor, Digest, MediaType, Reference, Tag};

use super::cosign;
use super::error::{Reason, TransferError};
use super::platform::choose;
use super::sink::Sink;
use super::source::{Node, Source};
use super::tally::{Blob, Manifest, Tally};
use super::verified::Stop;
use oci::Platform;

/// Most manifests below one image.
const MAX_NODES: usize = 20_000;
/// How long a chain of referrers of referrers is followed.
const MAX_CHAIN: u8 = 8;

/// Whether what refers to an image goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Referrers {
    Along,
    Left,
}

/// How images are moved.
pub(crate) struct Transfer<'a> {
    pub(crate) source: &'a Source,
    pub(crate) sink: &'a Sink,
    pub(crate) tally: &'a Tally,
    pub(crate) parallel: usize,
    pub(crate) referrers: Referrers,
    pub(crate) platform: Option<&'a Platform>,
    /// The name that the image belongs to, where the source has several.
    pub(crate) owner: Option<&'a str>,
    /// What this transfer has moved already.
    pub(crate) done: Mutex<HashSet<Digest>>,
}

/// What is wanted, and as what.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) reference: Reference,
    pub(crate) media_type: Option<MediaType>,
    /// None: under its digest alone.
    pub(crate) tag: Option<Tag>,
}

/// Something that is at the other end now.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) digest: Digest,
    pub(crate) media_type: MediaType,
    pub(crate) size: u64,
    pub(crate) tag: Option<Tag>,
}

impl Transfer<'_> {
    /// Moves an image; tells of it first, then of what refers to it.
    pub(crate) async fn run(&self, wanted: Wanted) -> Result<Vec<Moved>, TransferError> {
        let mut queue = vec![(wanted, 0)];
        let mut moved = Vec::new();
        while let Some((wanted, depth)) = queue.pop() {
            let tag = wanted.tag.clone();
            let root = self.root(&wanted, depth).await?;
            let nodes = self.walk(root).await?;
            self.put(&nodes, tag.as_ref()).await?;
            let Some(root) = nodes.last() else { continue };
            let size = root.bytes.len() as u64;
            moved.push(Moved { digest: root.digest, media_type: root.facts.media_type.clone(), size, tag });
            if self.referrers == Referrers::Along && depth < MAX_CHAIN {
                queue.extend(self.referring(&nodes).await?.into_iter().map(|wanted| (wanted, depth + 1)));
            }
        }
        Ok(moved)
    }

    async fn root(&self, wanted: &Wanted, depth: u8) -> Result<Node, TransferError> {
        let root = self.source.manifest(&wanted.reference, wanted.media_type.as_ref()).await?;
        match self.platform {
            Some(platform) if depth == 0 && root.facts.media_type.is_index() => {
                let chosen = choose(&root.bytes, platform);
                let chosen = chosen.map_err(|what| TransferError::new(Reason::NotFound, what))?;
                let child = root.facts.manifests.iter().find(|child| child.digest == chosen);
                self.source.manifest(&chosen.into(), child.map(|child| &child.media_type)).await
            }
            Some(_) | None => Ok(root),
        }
    }

    /// The image and all manifests below it, each after those it names.
    async fn walk(&self, root: Node) -> Result<Vec<Node>, TransferError> {
        let mut nodes: Vec<Node> = vec![root];
        let mut at = 0;
        while at < nodes.len() {
            for child in nodes[at].facts.manifests.clone() {
                if nodes.len() >= MAX_NODES {
                    let what = format!("the image has more than {MAX_NODES} manifests");
                    return Err(TransferError::new(Reason::Other, what));
                }
                let node = match nodes.iter().position(|node| node.digest == child.digest) {
                    // Named again, further down: it has to go before this one too.
                    Some(known) if known < at => nodes[known].clone(),
                    Some(_) => continue,
                    None => self.source.manifest(&child.digest.into(), Some(&child.media_type)).await?,
                };
                nodes.push(node);
            }
            at += 1;
        }
        nodes.reverse();
        let mut seen = HashSet::new();
        nodes.retain(|node| seen.insert(node.digest));
        Ok(nodes)
    }

    async fn put(&self, nodes: &[Node], tag: Option<&Tag>) -> Result<(), TransferError> {
        let mut missing = Vec::new();
        for node in nodes {
            let known = !self.is_new(node.digest) || self.sink.has(node).await?;
            if !known {
                missing.push(node);
            }
            for _ in node.facts.blobs().filter(|_| known) {
                self.tally.blob(Blob::There);
            }
        }
        let mut seen = HashSet::new();
        let blobs = missing.iter().flat_map(|node| node.facts.blobs());
        let blobs: Vec<Descriptor> =
            blobs.filter(|blob| !blob.media_type.is_nondistributable() && seen.insert(blob.digest)).cloned().collect();
        self.put_blobs(blobs).await?;
        for (at, node) in nodes.iter().enumerate() {
            let is_root = at + 1 == nodes.len();
            let tag = tag.filter(|_| is_root);
            if tag.is_some() || missing.iter().any(|missing| missing.digest == node.digest) {
                self.sink.put_manifest(node, tag, self.tally).await?;
            } else {
                if self.is_new(node.digest) {
                    self.sink.relist(node).await?;
                }
                self.tally.manifest(Manifest::There);
            }
            self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(node.digest);
        }
        Ok(())
    }

    async fn put_blobs(&self, blobs: Vec<Descriptor>) -> Result<(), TransferError> {
        // What is missing is noticed before anything is moved.
        for blob in &blobs {
            self.source.blob(blob)?;
        }
        let stop = Stop::default();
        let mut moving = stream::iter(blobs)
            .map(|blob| {
                let stop = stop.clone();
                async move { self.sink.put_blob(self.source, &blob, self.tally, &stop).await }
            })
            .buffer_unordered(self.parallel);
        let mut first = None;
        // The others are not dropped but end by themselves: an upload that is given up is cancelled at the registry.
        while let Some(outcome) = moving.next().await {
            if let Err(error) = outcome {
                stop.now();
                first = first.or(Some(error));
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn is_new(&self, digest: Digest) -> bool {
        !self.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest)
    }

    async fn referring(&self, nodes: &[Node]) -> Result<Vec<Wanted>, TransferError> {
        let mut found = Vec::new();
        for node in nodes {
            for digest in self.source.referrers(&node.digest, self.owner).await? {
                if self.is_new(digest) {
                    found.push(Wanted { reference: digest.into(), media_type: None, tag: None });
                }
            }
            found.extend(self.beside(&node.digest).await?);
        }
        Ok(found)
    }

    /// cosign's signatures of the older kind: tags made of the digest.
    async fn beside(&self, digest: &Digest) -> Result<Vec<Wanted>, TransferError> {
        let mut found = Vec::new();
        for tag in cosign::tags(digest) {
            if let Some(reference) = self.source.beside(&tag, self.owner).await? {
                found.push(Wanted { reference, media_type: None, tag: Some(tag) });
            }
        }
        Ok(found)
    }
}
