//! The images of a layout or an archive as the command line names them.
//!
//! Must not know registries. Invariants: which image is meant is never guessed among several; an archive from standard input
//! is kept in a file that goes with the process.

use std::io;
use std::path::{Path, PathBuf};

use image_archive::{Entry, ImageFiles};
use oci::ManifestFacts;
use tempfile::NamedTempFile;

use super::cosign;
use super::error::{Reason, TransferError};

/// Most images that an error lists.
const MOST_LISTED: usize = 20;

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

/// Whether standard input is named, with or without an image of it.
pub(crate) fn is_stdin(text: &str) -> bool {
    text == "-" || text.starts_with("-:")
}

/// Opens what `--oci-layout` or `--docker-archive` names; `-` is standard input.
pub(crate) fn open(text: &str) -> Result<Opened, TransferError> {
    if !is_stdin(text) {
        let Spot { path, name } = Spot::read(text);
        return Ok(Opened { files: ImageFiles::open(&path)?, name, spool: None });
    }
    let name = text.strip_prefix("-:").map(str::to_owned);
    let failed = |error: io::Error| TransferError::new(Reason::Other, format!("standard input: {error}"));
    let mut spool = NamedTempFile::new().map_err(failed)?;
    io::copy(&mut io::stdin().lock(), &mut spool).map_err(failed)?;
    let files = ImageFiles::open(spool.path()).map_err(|error| TransferError::from(error).of("standard input"))?;
    Ok(Opened { files, name, spool: Some(spool) })
}

/// The image that is meant: the one of this name or digest; without either, the only one.
pub(crate) fn choose<'f>(files: &'f ImageFiles, name: Option<&str>) -> Result<&'f Entry, TransferError> {
    let path = files.path().display();
    let missing = |what: String| TransferError::new(Reason::NotFound, what);
    let found: Vec<&Entry> = match name {
        Some(name) => {
            let fits = |entry: &&Entry| entry.is_called(name) || entry.descriptor.digest.to_string() == name;
            files.entries().iter().filter(fits).collect()
        }
        None => images(files),
    };
    match (found.as_slice(), name) {
        ([], None) => Err(missing(format!("{path} has no images"))),
        ([], Some(name)) => {
            let all: Vec<&Entry> = files.entries().iter().collect();
            Err(missing(format!("{path} has no image '{name}'; it has {}", listed(&all))))
        }
        ([first, others @ ..], _) if others.iter().all(|other| other.descriptor.digest == first.descriptor.digest) => {
            Ok(first)
        }
        (several, None) => {
            let what = format!("{path} has several images; name one behind a colon: {}", listed(several));
            Err(TransferError::usage(what))
        }
        (several, Some(name)) => Err(TransferError::usage(format!(
            "{path} has several images '{name}'; say behind the colon which, by its name in full or its digest: {}",
            listed(several)
        ))),
    }
}

/// The entries that may be meant when nothing is said: not what is there for another image, unless there is nothing else.
fn images(files: &ImageFiles) -> Vec<&Entry> {
    let is_image = |entry: &&Entry| !entry.name().is_some_and(cosign::is_beside) && !refers(files, entry);
    let images: Vec<&Entry> = files.entries().iter().filter(is_image).collect();
    if images.is_empty() { files.entries().iter().collect() } else { images }
}

/// What cannot be read refers to nothing, and fails when it is moved.
fn refers(files: &ImageFiles, entry: &Entry) -> bool {
    let Ok(bytes) = files.manifest(&entry.descriptor.digest) else { return false };
    ManifestFacts::parse(&bytes, Some(&entry.descriptor.media_type)).is_ok_and(|facts| facts.subject.is_some())
}

fn listed(entries: &[&Entry]) -> String {
    let label = |entry: &&Entry| match entry.full_name() {
        Some(name) => format!("{name} ({})", entry.descriptor.digest),
        None => entry.descriptor.digest.to_string(),
    };
    let mut labels: Vec<String> = entries.iter().take(MOST_LISTED).map(label).collect();
    if entries.len() > MOST_LISTED {
        labels.push(format!("and {} more", entries.len() - MOST_LISTED));
    }
    labels.join(", ")
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
