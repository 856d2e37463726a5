//! The token that management calls must show: read, or made at first start.
//!
//! Must not know what it opens. Invariants: the token is never printed; a token file is complete or not there (a
//! crash leaves no half of one); only its owner can read a file made here.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use client::Secret;

use crate::private_file;

/// Random bytes in a token made here.
const TOKEN_BYTES: usize = 32;
/// Shortest token accepted from a file.
const MIN_CHARS: usize = 16;

/// Reads the token in `path`, which an operator keeps.
pub(crate) fn read(path: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the admin token from {}", path.display()))?;
    let token = text.trim();
    if token.chars().count() < MIN_CHARS {
        bail!("the admin token in {} is too short: it needs at least {MIN_CHARS} characters", path.display());
    }
    private_file::warn_if_shared(path, "the admin token");
    Ok(Secret::new(token))
}

/// Reads the token in `path`, or makes one there.
pub(crate) fn read_or_make(path: &Path) -> Result<Secret> {
    match path.symlink_metadata() {
        Ok(_) => return read(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the admin token from {}", path.display()));
        }
    }
    let token = private_file::random_hex::<TOKEN_BYTES>()?;
    private_file::publish(path, &token)
        .with_context(|| format!("cannot write the admin token to {}", path.display()))?;
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        // What a crash during a former first start leaves.
        std::fs::write(folder.path().join("admin.token.new"), "half").unwrap();
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.expose().len(), TOKEN_BYTES * 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&path).unwrap().expose(), made.expose());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
        let other = read_or_make(&folder.path().join("other")).unwrap();
        assert_ne!(other.expose(), made.expose());
    }

    #[test]
    fn a_file_that_holds_no_token_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        std::fs::write(&path, "short\n").unwrap();
        let error = read_or_make(&path).unwrap_err().to_string();
        assert!(error.contains("too short") && !error.contains("short\n"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"short\n");
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
