//! The images of a layout or an archive as the command line names them.
//!
//! Must not know registries. Invariants: which image is meant is never guessed among several; an archive from standard input
//! is kept in a file that goes with the process.

use std::io;
use std::path::{Path, PathBuf};

use image_archive::{Entry, ImageFiles};
use tempfile::NamedTempFile;

use super::error::{Reason, TransferError};

/// A path, and what stands behind its colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) name: Option<String>,
}

impl Spot {
    /// The longest part before a colon that exists is the path; without any, all before the first colon behind the last slash.
    pub(crate) fn read(text: &str) -> Self {
        if Path::new(text).exists() {
            return Self { path: text.into(), name: None };
        }
        let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
        let slash = text.rfind('/').map_or(0, |slash| slash + 1);
        let there = colons.iter().rev().find(|&&at| at > 0 && Path::new(&text[..at]).exists());
        match there.or_else(|| colons.iter().find(|&&at| at > slash)) {
            Some(&at) => Self { path: text[..at].into(), name: Some(text[at + 1..].to_owned()) },
            None => Self { path: text.into(), name: None },
        }
    }
}

/// Opened files, and what has to live as long as they are read.
pub(crate) struct Opened {
    pub(crate) files: ImageFiles,
    pub(crate) name: Option<String>,
    pub(crate) spool: Option<NamedTempFile>,
}

/// Opens what `--oci-layout` or `--docker-archive` names; `-` is standard input.
pub(crate) fn open(text: &str) -> Result<Opened, TransferError> {
    if text != "-" {
        let Spot { path, name } = Spot::read(text);
        return Ok(Opened { files: ImageFiles::open(&path)?, name, spool: None });
    }
    let failed = |error: io::Error| TransferError::new(Reason::Other, format!("standard input: {error}"));
    let mut spool = NamedTempFile::new().map_err(failed)?;
    io::copy(&mut io::stdin().lock(), &mut spool).map_err(failed)?;
    let files = ImageFiles::open(spool.path()).map_err(|error| TransferError::from(error).of("standard input"))?;
    Ok(Opened { files, name: None, spool: Some(spool) })
}

/// The image that is meant.
pub(crate) fn choose<'f>(files: &'f ImageFiles, name: Option<&str>) -> Result<&'f Entry, TransferError> {
    let entries = files.entries();
    let listed = || entries.iter().filter_map(Entry::name).collect::<Vec<_>>().join(", ");
    let path = files.path().display();
    let missing = |what: String| TransferError::new(Reason::NotFound, what);
    if let Some(name) = name {
        let found = entries.iter().find(|entry| entry.is_called(name) || entry.descriptor.digest.to_string() == name);
        return found.ok_or_else(|| missing(format!("{path} has no image '{name}'; it has {}", listed())));
    }
    let named: Vec<&Entry> = entries.iter().filter(|entry| entry.name().is_some()).collect();
    let candidates = if named.is_empty() { entries.iter().collect() } else { named };
    let alike = candidates.iter().all(|entry| entry.descriptor.digest == candidates[0].descriptor.digest);
    match candidates.as_slice() {
        [] => Err(missing(format!("{path} has no images"))),
        [first, ..] if alike => Ok(first),
        _ => Err(TransferError::usage(format!("{path} has several images; name one behind a colon: {}", listed()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_have_colons_when_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a:b");
        std::fs::create_dir(&odd).unwrap();
        let spot = |text: &str| Spot::read(text);
        let text = odd.display().to_string();
        assert_eq!(spot(&text), Spot { path: odd.clone(), name: None });
        assert_eq!(spot(&format!("{text}:team/app:v1")), Spot { path: odd, name: Some("team/app:v1".to_owned()) });
        assert_eq!(spot("no/such:v1"), Spot { path: "no/such".into(), name: Some("v1".to_owned()) });
        assert_eq!(spot("no/such"), Spot { path: "no/such".into(), name: None });
    }
}
