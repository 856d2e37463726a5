//! A blob that is asked for in many parts: where the registry redirects to is remembered, so that each further part is one
//! request and not two.
//!
//! Must not know what the parts are for. Invariants: the place a redirect led to never gets a credential of ours; a place
//! that refuses is forgotten, and the registry is asked once more; a place that never answered a second time is not
//! remembered again.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use oci::{ByteRange, Digest, RepositoryName};
use url::Url;

use crate::blobs::BlobResponse;
use crate::error::ClientError;
use crate::registry_client::RegistryClient;

/// Parts of one blob. Cheap to clone; clones share what was learnt.
#[derive(Clone, Debug)]
pub struct BlobParts {
    client: RegistryClient,
    name: RepositoryName,
    digest: Digest,
    place: Arc<Mutex<Place>>,
}

/// What is known of where the blob is.
#[derive(Clone, Debug)]
enum Place {
    /// Nothing yet, or it was forgotten.
    Unknown,
    /// The last redirect led here. `proven`: it was asked there directly since.
    At { url: Url, proven: bool },
    /// It has to be asked for at the registry each time: there is no redirect, or where it leads is for one request only.
    Registry,
}

impl BlobParts {
    /// For a blob of a repository; nothing is asked yet.
    pub fn new(client: RegistryClient, name: RepositoryName, digest: Digest) -> Self {
        Self { client, name, digest, place: Arc::new(Mutex::new(Place::Unknown)) }
    }

    /// Which blob.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// One part of it; see [`RegistryClient::get_blob`].
    pub async fn get(&self, range: ByteRange) -> Result<BlobResponse, ClientError> {
        let known = self.known();
        if let Some(place) = &known {
            match self.client.get_blob_at(place, range).await {
                Err(error) if is_refusal(&error) => self.forget(place),
                answer => {
                    self.prove(place);
                    return answer;
                }
            }
        }
        let (response, place) = self.client.get_blob_and_place(&self.name, &self.digest, range).await?;
        self.learn(place);
        Ok(response)
    }

    fn known(&self) -> Option<Url> {
        match &*self.lock() {
            Place::At { url, .. } => Some(url.clone()),
            Place::Unknown | Place::Registry => None,
        }
    }

    fn prove(&self, place: &Url) {
        if let Place::At { url, proven } = &mut *self.lock()
            && url == place
        {
            *proven = true;
        }
    }

    fn forget(&self, place: &Url) {
        let mut known = self.lock();
        if let Place::At { url, proven } = &*known
            && url == place
        {
            *known = if *proven { Place::Unknown } else { Place::Registry };
        }
    }

    fn learn(&self, place: Option<Url>) {
        let mut known = self.lock();
        if matches!(*known, Place::Unknown) {
            *known = place.map_or(Place::Registry, |url| Place::At { url, proven: false });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signed addresses end: 403 mostly, 401 where a token was in them, 400 and 404 and 410 at some stores.
fn is_refusal(error: &ClientError) -> bool {
    error.upstream_status().and_then(|status| StatusCode::from_u16(status).ok()).is_some_and(|status| {
        matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::GONE
        )
    })
}
