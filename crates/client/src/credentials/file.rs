//! Secrets that stand in files.
//!
//! Must not know what they are for. Invariants: at most 1 MiB is read; an error names the file and quotes nothing of it.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::source::{Lasts, Obtained};
use crate::basic::Credential;
use crate::secret::Secret;

/// Largest file read.
const MAX_FILE: u64 = 1024 * 1024;

/// A file is read again when it was last read longer ago than this: a rotated secret is noticed at the next pull.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The text of the file without the line ends around it.
pub(super) async fn secret(path: &Path) -> Result<Secret, String> {
    let text = text(path).await?;
    let secret = text.trim_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Secret::new(secret))
}

/// The whole text of the file.
pub(super) async fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{} is larger than 1 MiB", path.display()));
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is not text in UTF-8", path.display()))
}

/// What was read from a file just now.
pub(super) fn looked_at(credential: Credential) -> Obtained {
    Obtained { credential: Some(credential), lasts: looked_now() }
}

/// How long something read from a file just now is good.
pub(super) fn looked_now() -> Lasts {
    Lasts::look_again_after(LOOK_AGAIN)
}
