//! Deleting on a full disk: the database writes before it forgets, and the reserve is the room for that.
//!
//! Must not know what is deleted. Invariant: what is tried again had changed nothing.

use super::Hosted;
use super::error::HostedError;

impl Hosted {
    /// Does what makes room. When there is none left for it, it has the reserve, and is tried once more.
    pub(crate) async fn with_reserve<T, E, F>(&self, work: impl Fn() -> F) -> Result<T, HostedError>
    where
        E: Into<HostedError>,
        F: Future<Output = Result<T, E>>,
    {
        let first = work().await.map_err(Into::into);
        if !matches!(first, Err(HostedError::NoSpace)) {
            return first;
        }
        if !self.uploads.release_reserve().await? {
            return Err(HostedError::NoSpaceToDelete);
        }
        tracing::warn!("the disk is full; deleting goes on with the room that was kept for it");
        let second = work().await.map_err(Into::into);
        self.keep_reserve().await;
        second.map_err(|error| if matches!(error, HostedError::NoSpace) { HostedError::NoSpaceToDelete } else { error })
    }

    /// Keeps room for the next time.
    pub(super) async fn keep_reserve(&self) {
        match self.uploads.keep_reserve().await {
            Ok(true) => {}
            Ok(false) => tracing::debug!("there is no room to be kept for cleaning up"),
            Err(error) => tracing::warn!(%error, "room for cleaning up could not be kept"),
        }
    }
}
