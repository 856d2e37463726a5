//! Files with secrets: only their owner can read them, and they are complete or not there.
//!
//! Must not know what is inside. Invariant: a crash at any point leaves the former file or the new one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes `text` and a line end beside its place, then renames it there. The cache directory's lock keeps other
/// processes away.
pub(crate) fn publish(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.file_name().unwrap_or_default().to_owned();
    beside.push(".new");
    let beside = path.with_file_name(beside);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Warns when others than its owner can read the file. `what` it holds, in words.
pub(crate) fn warn_if_shared(path: &Path, what: &str) {
    let mode = path.metadata().map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 {
        let mode = format!("{:o}", mode & 0o777);
        tracing::warn!(path = %path.display(), mode, "others can read {what}; chmod 600 it");
    }
}

/// Random bytes from the system, as hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> anyhow::Result<String> {
    let mut random = [0; N];
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        anyhow::bail!("the system gives no random bytes");
    }
    Ok(hex::encode(random))
}
