//! The parts of an image, as far as manifests here tell, and which of them are here.
//!
//! Must not touch access times or drop what is damaged: it only looks. Invariants: each part is told once a platform; the
//! number of parts is bounded, whatever manifests say.

use std::collections::{HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Descriptor, Digest, ManifestFacts, MediaType};
use serde::Deserialize;

use super::answer::{CachedPart, PartKind, Presence};
use crate::core::Core;
use crate::error::PullError;
use crate::repositories::Route;

/// Most parts told.
const MOST: usize = 1000;
/// Indexes below indexes that are followed.
const DEEPEST: usize = 3;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Parents before children.
    pub(super) parts: Vec<CachedPart>,
    /// How many more there are.
    pub(super) left_out: usize,
}

/// Looks for the manifest with this digest and all below it.
pub(super) async fn collect(core: &Core, route: &Route, root: &Digest) -> Result<Found, PullError> {
    let staging = core.cache.staging().clone();
    let listed = tokio::task::spawn_blocking(move || staging.list()).await;
    let staged = listed.map_err(|error| PullError::storage(&error))?.map_err(|error| PullError::storage(&error))?;
    let staged = staged.into_iter().map(|staged| (staged.digest, staged.present_bytes)).collect();
    let mut look = Look { core, route, staged, seen: HashSet::new(), found: Found::default() };
    let row = core.metadata.find_listed(&route.repo.spec().key, &route.name, root).await;
    let row = row.map_err(|error| PullError::storage(&error))?;
    let wanted = Wanted {
        digest: *root,
        media_type: row.as_ref().map(|row| row.media_type.clone()),
        size: row.map(|row| row.size),
        platform: None,
    };
    look.manifest(wanted, 0).await?;
    Ok(look.found)
}

/// A part to look for.
struct Wanted {
    digest: Digest,
    media_type: Option<MediaType>,
    size: Option<u64>,
    platform: Option<String>,
}

impl Wanted {
    fn listed(descriptor: &Descriptor, platform: Option<String>) -> Self {
        Self {
            digest: descriptor.digest,
            media_type: Some(descriptor.media_type.clone()),
            size: Some(descriptor.size),
            platform,
        }
    }
}

struct Look<'a> {
    core: &'a Core,
    route: &'a Route,
    staged: HashMap<Digest, u64>,
    seen: HashSet<(Digest, Option<String>)>,
    found: Found,
}

impl Look<'_> {
    async fn manifest(&mut self, wanted: Wanted, depth: usize) -> Result<(), PullError> {
        if !self.seen.insert((wanted.digest, wanted.platform.clone())) {
            return Ok(());
        }
        let here = self.read(&wanted.digest).await?;
        let facts = here.as_ref().and_then(|(bytes, media_type)| ManifestFacts::parse(bytes, Some(media_type)).ok());
        let platform = wanted.platform.clone();
        let media_type = facts.as_ref().map(|facts| &facts.media_type).or(wanted.media_type.as_ref()).cloned();
        let kind =
            if media_type.as_ref().is_some_and(MediaType::is_index) { PartKind::Index } else { PartKind::Manifest };
        let present = here.as_ref().map(|(bytes, _)| bytes.len() as u64);
        let size = present.or(wanted.size);
        self.add(kind, Wanted { media_type, size, ..wanted }, present).await?;
        let (Some(facts), Some((bytes, _))) = (facts, here) else { return Ok(()) };
        if let Some(blob) = &facts.config {
            self.blob(PartKind::Config, Wanted::listed(blob, platform.clone())).await?;
        }
        for blob in &facts.layers {
            self.blob(PartKind::Layer, Wanted::listed(blob, platform.clone())).await?;
        }
        if depth >= DEEPEST {
            return Ok(());
        }
        let platforms = platforms(&bytes);
        for child in &facts.manifests {
            let platform = platforms.get(&child.digest.to_string()).cloned().or_else(|| platform.clone());
            Box::pin(self.manifest(Wanted::listed(child, platform), depth + 1)).await?;
        }
        Ok(())
    }

    async fn blob(&mut self, kind: PartKind, wanted: Wanted) -> Result<(), PullError> {
        if !self.seen.insert((wanted.digest, wanted.platform.clone())) {
            return Ok(());
        }
        let present = self.core.cache.stored_size(&wanted.digest).await?;
        self.add(kind, wanted, present).await
    }

    /// Adds a part of which all bytes are here when `present` is given.
    async fn add(&mut self, kind: PartKind, wanted: Wanted, present: Option<u64>) -> Result<(), PullError> {
        if self.found.parts.len() >= MOST {
            self.found.left_out += 1;
            return Ok(());
        }
        let staged = self.staged.get(&wanted.digest).copied().unwrap_or(0);
        let (cached, present_bytes) = match present {
            Some(size) => (Presence::Yes, size),
            None if staged > 0 => (Presence::Partly, staged),
            None => (Presence::No, 0),
        };
        self.found.parts.push(CachedPart {
            kind,
            confirmed: self.is_confirmed(&wanted.digest).await?,
            digest: wanted.digest.to_string(),
            media_type: wanted.media_type.map(|media_type| media_type.as_str().to_owned()),
            size: wanted.size.or(present),
            platform: wanted.platform,
            cached,
            present_bytes,
        });
        Ok(())
    }

    async fn is_confirmed(&self, digest: &Digest) -> Result<bool, PullError> {
        if self.core.memory.is_linked(&(self.route.repo.key().clone(), self.route.name.clone(), *digest)) {
            return Ok(true);
        }
        let linked = self.core.metadata.is_linked(&self.route.repo.spec().key, &self.route.name, digest).await;
        linked.map_err(|error| PullError::storage(&error))
    }

    /// A manifest's bytes, when they are here and whole.
    async fn read(&self, digest: &Digest) -> Result<Option<(Bytes, MediaType)>, PullError> {
        if let Some(manifest) = self.core.memory.manifest(digest) {
            return Ok(Some((manifest.bytes.clone(), manifest.media_type.clone())));
        }
        let row = self.core.metadata.find_manifest(digest).await.map_err(|error| PullError::storage(&error))?;
        let Some(row) = row else { return Ok(None) };
        let Some(handle) = self.core.cache.look_at(digest).await? else { return Ok(None) };
        let size = usize::try_from(handle.size()).unwrap_or(usize::MAX);
        if size > MAX_MANIFEST_BYTES {
            return Ok(None);
        }
        let mut bytes = BytesMut::with_capacity(size);
        while bytes.len() < size {
            let (at, left) = (bytes.len() as u64, size - bytes.len());
            let piece = handle.read_at(at, left, self.core.cache.buffers()).await;
            let piece = piece.map_err(|error| PullError::storage(&error))?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        let bytes = bytes.freeze();
        let whole = Digest::of(digest.algorithm(), &bytes) == *digest;
        Ok(whole.then_some((bytes, row.media_type)))
    }
}

/// An index's children with their platforms; the facts of manifests leave these out.
#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    manifests: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// The platforms by digest; what cannot be read has none.
fn platforms(index: &[u8]) -> HashMap<String, String> {
    let Ok(listing) = serde_json::from_slice::<Listing>(index) else { return HashMap::new() };
    let named = listing.manifests.into_iter().filter_map(|listed| Some((listed.digest, words(&listed.platform?)?)));
    named.collect()
}

/// `os/architecture[/variant]`, short and without control characters: it is somebody's text.
fn words(platform: &Platform) -> Option<String> {
    let parts = [platform.os.as_ref(), platform.architecture.as_ref(), platform.variant.as_ref()];
    let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
    let text = parts.map(String::as_str).collect::<Vec<_>>().join("/");
    let fits = !text.is_empty() && text.len() <= 100 && !text.contains(char::is_control);
    fits.then_some(text)
}
