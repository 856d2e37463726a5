//! Writing: a layout in a folder, blob by blob, and a whole layout as one tar file.
//!
//! Must not know where the bytes come from.

mod bring;
mod layout;
mod pack;
mod partial;
mod reach;

pub use self::layout::LayoutWriter;
pub use self::pack::{DockerImage, pack};
pub use self::partial::Partial;
