//! The images that were asked for lately, with the manifest each came to: for completion, which asks nobody about paths.
//!
//! Must not know images' content. Invariants: it is a help and never needed, so that what cannot be read or written is
//! passed over; it is bounded; it names images and digests, never credentials.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use oci::Digest;
use serde::{Deserialize, Serialize};

/// The file in the cache folder.
pub(crate) const FILE: &str = "history.jsonl";
/// Most images remembered.
const MOST: usize = 500;
/// Largest file read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// An image that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// As it was typed.
    pub(crate) image: String,
    /// The manifest of the platform that was chosen.
    pub(crate) manifest: Digest,
}

/// What is remembered, the latest first.
pub(crate) fn read(cache_dir: &Path) -> Vec<Remembered> {
    let file = cache_dir.join(FILE);
    if fs::metadata(&file).map_or(0, |metadata| metadata.len()) > LARGEST {
        return Vec::new();
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).take(MOST).collect()
}

/// Remembers an image.
pub(crate) fn remember(cache_dir: &Path, image: &str, manifest: &Digest) {
    let new = Remembered { image: image.trim().to_owned(), manifest: *manifest };
    let mut known = read(cache_dir);
    if known.first() == Some(&new) {
        return;
    }
    known.retain(|one| one.image != new.image);
    known.insert(0, new);
    known.truncate(MOST);
    if let Err(error) = write(cache_dir, &known) {
        tracing::info!(%error, "the image cannot be remembered for completion");
    }
}

/// Written beside and renamed: of two runs at once, one is remembered.
fn write(cache_dir: &Path, known: &[Remembered]) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(cache_dir)?;
    let beside = cache_dir.join(format!(".{FILE}.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    for one in known {
        file.write_all(&serde_json::to_vec(one)?)?;
        file.write_all(b"\n")?;
    }
    fs::rename(&beside, cache_dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_come_first_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("made");
        assert_eq!(read(&state), []);
        for (image, content) in [("a", "1"), ("b", "2"), ("a", "3")] {
            remember(&state, image, &Digest::sha256_of(content.as_bytes()));
        }
        let known = read(&state);
        assert_eq!(known.iter().map(|one| one.image.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(known[0].manifest, Digest::sha256_of(b"3"));
        for at in 0..MOST + 5 {
            remember(&state, &format!("image-{at}"), &Digest::sha256_of(b""));
        }
        assert_eq!(read(&state).len(), MOST);
        fs::write(state.join(FILE), "{broken\n").unwrap();
        assert_eq!(read(&state), [], "what cannot be read is passed over");
    }
}
