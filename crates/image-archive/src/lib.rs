//! Images in files: OCI image layouts (image-spec "Image Layout"), as folders and as tar files, and docker's archives.
//!
//! Must not know networks, async runtimes or registries. Invariants: nothing is unpacked, files are read where they stand; a
//! path is made of a digest or of a name inside the archive, never of text that leads out of it; a blob gets its final name
//! only with all of its bytes verified and on disk.

mod error;
mod index;
mod read;
mod write;

pub use error::ArchiveError;
pub use index::{Entry, NAME_OF_IMAGE, REF_NAME, REPOSITORY};
pub use read::{ImageFiles, Place};
pub use write::{DockerImage, LayoutWriter, Partial, pack};

/// The folder of blobs inside a layout.
pub(crate) const BLOBS: &str = "blobs";
/// The list of images inside a layout.
pub(crate) const INDEX: &str = "index.json";
/// What says that a folder is a layout.
pub(crate) const LAYOUT: &str = "oci-layout";
/// The list of images in docker's archives.
pub(crate) const DOCKER_LIST: &str = "manifest.json";

/// Where a blob stands inside a layout.
pub(crate) fn blob_name(digest: &oci::Digest) -> String {
    format!("{BLOBS}/{}/{}", digest.algorithm(), digest.hex())
}
