//! The keys that seal credentials in the metadata database: from the environment, an operator's file, or a file of our
//! own.
//!
//! A key file has one key a line, the newest first; `#` begins a comment. The first seals, the others only open what
//! they sealed. Must not know the database. Invariants: no key is printed; a new key is in the file, beside the former
//! ones, before anything is sealed with it, so that a crash during a change loses nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use client::Secret;
use metadata::{SealingKey, SealingKeys};

use crate::private_file;

/// Random bytes in a key.
const KEY_BYTES: usize = 32;

/// Where the keys come from.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// Given in the environment, separated by commas.
    Given(Secret),
    /// In a file an operator keeps.
    File(PathBuf),
    /// In the cache directory, made at first start.
    OwnFile,
}

impl KeySource {
    /// The file the keys are in, when they are in one; `own` is the one in the cache directory.
    pub(crate) fn file(&self, own: PathBuf) -> Option<PathBuf> {
        match self {
            Self::Given(_) => None,
            Self::File(path) => Some(path.clone()),
            Self::OwnFile => Some(own),
        }
    }

    /// Reads the keys; makes a first one in our own file.
    pub(crate) fn load(&self, own: &Path) -> Result<SealingKeys> {
        match self {
            Self::Given(text) => parse(text.expose().split(',')).context("TRANSSHIP_SECRETS_KEY"),
            Self::File(path) => read(path),
            Self::OwnFile => read_or_make(own),
        }
    }

    /// Whether both say the same place. Keys given in the environment do not change while running.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(_), Self::Given(_)) | (Self::OwnFile, Self::OwnFile) => true,
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Given(_) | Self::File(_) | Self::OwnFile, _) => false,
        }
    }
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Result<SealingKeys> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the keys for stored credentials from {}", path.display()))?;
    let keys = parse(lines(&text)).with_context(|| path.display().to_string())?;
    private_file::warn_if_shared(path, "the keys for stored credentials");
    Ok(keys)
}

fn read_or_make(path: &Path) -> Result<SealingKeys> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => add_key(path)?,
        Ok(_) | Err(_) => {}
    }
    read(path)
}

/// Puts a new key before those in the file; makes the file when there is none.
pub(crate) fn add_key(path: &Path) -> Result<()> {
    let former = match std::fs::read_to_string(path) {
        Ok(text) => lines(&text).map(str::to_owned).collect::<Vec<_>>(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let new = private_file::random_hex::<KEY_BYTES>()?;
    write(path, std::iter::once(new.as_str()).chain(former.iter().map(String::as_str)))
}

/// Leaves only the first key in the file: nothing is sealed with the others any more.
pub(crate) fn drop_former(path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    write(path, lines(&text).take(1))
}

fn write<'a>(path: &Path, keys: impl Iterator<Item = &'a str>) -> Result<()> {
    let heading = "# Keys for the credentials in transship.db, newest first. Keep a copy: without them they are lost.";
    let text: Vec<&str> = std::iter::once(heading).chain(keys).collect();
    private_file::publish(path, &text.join("\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<SealingKeys> {
    let mut keys = texts
        .enumerate()
        .map(|(at, text)| text.parse::<SealingKey>().with_context(|| format!("key {}", at + 1)))
        .collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        bail!("there is no key; make one with: openssl rand -hex 32");
    }
    let current = keys.remove(0);
    Ok(SealingKeys::new(current, keys))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn our_own_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("secrets.key");
        let made = KeySource::OwnFile.load(&own).unwrap();
        assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeySource::OwnFile.load(&own).unwrap().current().id(), made.current().id());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_new_key_comes_first_and_the_former_stays_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        add_key(&file).unwrap();
        let first = read(&file).unwrap();
        add_key(&file).unwrap();
        let both = read(&file).unwrap();
        assert!(both.has_former() && both.current().id() != first.current().id());
        drop_former(&file).unwrap();
        let last = read(&file).unwrap();
        assert!(!last.has_former() && last.current().id() == both.current().id());
    }

    #[test]
    fn what_is_no_key_is_told_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let good = "ab".repeat(32);
        for (text, told) in
            [("", "no key"), ("# only words\n", "no key"), ("canary", "key 1"), (&format!("{good}\ncanary"), "key 2")]
        {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", read(&file).unwrap_err());
            assert!(error.contains(told) && !error.contains("canary"), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the file is left as it was");
        }
        let given = KeySource::Given(Secret::new(format!("{good},{}", "cd".repeat(32))));
        assert!(given.load(&file).unwrap().has_former());
    }
}
