//! Layers that the upstream does not have and whose manifest says where else they are.
//!
//! Only where the repository lists hosts for that (`foreign_layers`). Must not know how bytes are fetched. Invariants: the
//! upstream is asked first; the address comes from a manifest that this name is linked to; bytes in the store that came
//! another way are no proof that the address has them, so they are fetched from there before the name gets them.

use std::sync::Arc;

use oci::{Digest, ForeignLayer};

use super::{blob, manifest};
use crate::core::Core;
use crate::error::PullError;
use crate::fill::{ForeignSource, Origin};
use crate::repositories::Route;

/// Manifests of one name that are looked into for a layer.
const MOST_MANIFESTS: u32 = 16;

/// Where to fetch a layer from that the upstream does not have; `None` when there is no such place.
pub(super) async fn origin(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<Option<Origin>, PullError> {
    let Some(source) = source(core, route, digest).await? else { return Ok(None) };
    Ok(Some(Origin { foreign: Some(Arc::new(source)), ..blob::origin(core, route, digest).await? }))
}

/// The size of a layer that the upstream does not have, once its address has shown that it is there.
pub(super) async fn stat(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<Option<u64>, PullError> {
    let Some(ForeignSource { urls, size }) = source(core, route, digest).await? else { return Ok(None) };
    let Some(client) = route.repo.sources().foreign() else { return Ok(None) };
    let mut failed = None;
    for url in &urls {
        match client.is_there(url, size).await {
            Ok(()) => return Ok(Some(size)),
            Err(error) => {
                let error = route.error(&crate::error::Subject::Blob(*digest), &error);
                failed = Some(error.about_foreign_layer(url.host_str().unwrap_or_default()));
            }
        }
    }
    failed.map_or(Ok(None), Err)
}

async fn source(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<Option<ForeignSource>, PullError> {
    let Some(client) = route.repo.sources().foreign() else { return Ok(None) };
    let listing = core.metadata.find_listing(&route.repo.spec().key, &route.name, digest, MOST_MANIFESTS).await;
    for manifest in listing.map_err(|error| PullError::storage(&error))? {
        let (manifest, _) = manifest::get(core, route, &manifest).await?;
        let Some(ForeignLayer { urls, size }) = ForeignLayer::find(&manifest.bytes, digest) else { continue };
        let read = |text: &String| {
            let refused = |what| tracing::info!(repo_key = %route.repo.key(), %digest, %what, "an address of a layer is not used");
            client.hosts().read(text).map_err(refused).ok()
        };
        let urls: Vec<_> = urls.iter().filter_map(read).collect();
        if !urls.is_empty() {
            return Ok(Some(ForeignSource { urls, size }));
        }
    }
    Ok(None)
}
