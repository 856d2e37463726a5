//! A journal: opened for one run, read for what an earlier one left, and written to while files grow.
//!
//! Must not know what is in files. Invariant: a line is one write to a file opened for appending, so that a process that is
//! killed leaves whole lines and at most one broken one, which is the last.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci::Digest;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::StargetError;

/// Largest journal read, in bytes: some 40 bytes a file and chunk.
const LARGEST: u64 = 512 * 1024 * 1024;
const VERSION: u32 = 1;

/// What a journal is about. Another of any of these is another download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) version: u32,
    /// As it was asked for.
    pub(crate) image: String,
    /// The digest of its manifest: what the tag may mean tomorrow is another download.
    pub(crate) manifest: Digest,
    /// When only one layer was asked for.
    pub(crate) layer: Option<Digest>,
    pub(crate) pattern: String,
    /// The folder or file that is written, absolute.
    pub(crate) out: PathBuf,
    /// How many files; their numbers are their places in path order.
    pub(crate) files: usize,
}

impl Header {
    /// For this version of the form.
    pub(crate) fn new(
        image: String,
        manifest: Digest,
        layer: Option<Digest>,
        pattern: String,
        out: PathBuf,
        files: usize,
    ) -> Self {
        Self { version: VERSION, image, manifest, layer, pattern, out, files }
    }

    /// The journal's name: the same download finds its journal again.
    fn file_name(&self) -> Result<String, StargetError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| StargetError::Stream { doing: "write down what is downloaded", source: error.into() })?;
        Ok(format!("{}.journal", Digest::sha256_of(&text).hex()))
    }
}

/// What an earlier run left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    pub(crate) done: HashSet<usize>,
    pub(crate) chunks: HashMap<usize, HashSet<usize>>,
    /// The folder was not there before.
    pub(crate) made_folder: bool,
}

/// The journal of this run.
pub(crate) struct Journal {
    path: PathBuf,
    /// Opened for appending: lines of several threads do not mix.
    file: File,
    /// Jobs of which something is proven and on disk.
    some: Mutex<HashSet<usize>>,
}

impl Journal {
    /// Opens the journal of a download, and says what an earlier run left.
    pub(crate) fn open(folder: &Path, header: &Header) -> Result<(Self, Left), StargetError> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| StargetError::Io { doing, path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io("make the state folder", folder))?;
        let path = folder.join(header.file_name()?);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(&path).map_err(io("open", &path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| StargetError::InTheWay {
            path: header.out.display().to_string(),
            why: "another run is writing the same".to_owned(),
        })?;
        let left = if let Some(left) = read(&mut file, header) {
            left
        } else {
            file.set_len(0).map_err(io("empty", &path))?;
            let mut line = serde_json::to_vec(header).map_err(|error| StargetError::Io {
                doing: "write",
                path: path.clone(),
                source: error.into(),
            })?;
            line.push(b'\n');
            file.write_all(&line).map_err(io("write", &path))?;
            Left::default()
        };
        Ok((Self { path, file, some: Mutex::default() }, left))
    }

    /// Notes what of an earlier run is still right.
    pub(crate) fn keep(&self, job: usize) {
        self.some.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
    }

    /// Whether something of the file is proven and on disk.
    pub(crate) fn has_some_of(&self, job: usize) -> bool {
        self.some.lock().unwrap_or_else(PoisonError::into_inner).contains(&job)
    }

    /// The folder was made for this download.
    pub(crate) fn made_folder(&self) -> Result<(), StargetError> {
        self.line("m\n")
    }

    /// A file grows here.
    pub(crate) fn begun(&self, job: usize, partial: &str) -> Result<(), StargetError> {
        let quoted = serde_json::Value::from(partial);
        self.line(&format!("p {job} {quoted}\n"))
    }

    /// A chunk is there.
    pub(crate) fn chunk_done(&self, job: usize, chunk: usize) -> Result<(), StargetError> {
        self.line(&format!("c {job} {chunk}\n"))?;
        self.keep(job);
        Ok(())
    }

    /// A file is complete.
    pub(crate) fn file_done(&self, job: usize) -> Result<(), StargetError> {
        self.line(&format!("d {job}\n"))
    }

    /// Whether something of an incomplete file is proven and on disk.
    pub(crate) fn has_some(&self) -> bool {
        !self.some.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Nothing is left to be done, or to go on with.
    pub(crate) fn remove(self) -> Result<(), StargetError> {
        let Self { path, .. } = self;
        fs::remove_file(&path).map_err(|source| StargetError::Io { doing: "remove", path, source })
    }

    fn line(&self, line: &str) -> Result<(), StargetError> {
        let written = (&self.file).write_all(line.as_bytes());
        written.map_err(|source| StargetError::Io { doing: "write", path: self.path.clone(), source })
    }
}

/// What is in a journal; none when it is new or about something else.
fn read(file: &mut File, header: &Header) -> Option<Left> {
    let length = file.metadata().ok()?.len();
    if length == 0 || length > LARGEST {
        return None;
    }
    file.rewind().ok()?;
    let mut lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let first: Header = serde_json::from_slice(&lines.next()?).ok()?;
    if first != *header {
        return None;
    }
    let mut left = Left::default();
    for line in lines {
        // A line that cannot be read is one that was being written.
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let mut words = text.split(' ');
        let kind = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
        match (kind, number(), number()) {
            (Some("c"), Some(job), Some(chunk)) if job < header.files => {
                left.chunks.entry(job).or_default().insert(chunk);
            }
            (Some("m"), None, None) => left.made_folder = true,
            (Some("d"), Some(job), None) if job < header.files => {
                left.done.insert(job);
            }
            _ => {}
        }
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(pattern: &str) -> Header {
        Header::new("a".into(), Digest::sha256_of(b"m"), None, pattern.into(), "/out".into(), 3)
    }

    #[test]
    fn a_broken_off_run_is_remembered_and_a_completed_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, left) = Journal::open(folder.path(), &header(".")).unwrap();
        assert!(left.done.is_empty() && left.chunks.is_empty());
        journal.begun(1, "x.partial").unwrap();
        journal.chunk_done(1, 7).unwrap();
        journal.file_done(2).unwrap();
        journal.line("c 1 ").unwrap();
        drop(journal);
        let (journal, left) = Journal::open(folder.path(), &header(".")).unwrap();
        assert!(left.done.contains(&2) && left.chunks[&1].contains(&7) && left.chunks[&1].len() == 1);
        assert!(Journal::open(folder.path(), &header(".")).is_err(), "it is in use");
        let (_other, left) = Journal::open(folder.path(), &header("bin/")).unwrap();
        assert!(left.done.is_empty(), "another download");
        journal.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
