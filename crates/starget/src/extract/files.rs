//! Files on their way to disk: each grows as `<name>.partial` and gets its name when it is complete.
//!
//! Must not know requests. Invariants: under its own name a file is complete and proven; what was proven of an incomplete one
//! is in the journal, after its bytes are in the file; an incomplete file of which nothing was proven is removed.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use estargz::ChunkSource;

use super::attributes::{Attributes, Preserve};
use super::folder::{Folder, failed};
use crate::error::StargetError;
use crate::fetch::{Job, Sink};
use crate::resume::Journal;

/// Bytes hashed at a time when a file is checked as a whole.
const PIECE: usize = 128 * 1024;
/// Longest file name.
const NAME_MAX: usize = 255;
const SUFFIX: &str = ".partial";

/// The files of one run.
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) jobs: Arc<Vec<Job>>,
    pub(crate) preserve: Preserve,
    pub(crate) journal: Journal,
    pub(crate) partials: Partials,
}

/// A file that grows.
pub(crate) struct Growing {
    file: File,
    /// Whether it has nothing but what was written to it in this run.
    is_new: bool,
}

impl Sink for Files {
    type File = Growing;

    fn open(&self, job: usize) -> Result<Growing, StargetError> {
        let path = self.partial(job);
        let partial = self.folder.place(&path)?;
        let kept = if self.journal.has_some_of(job) { partial.reopen()? } else { None };
        let is_new = kept.is_none();
        let file = match kept {
            Some(file) => file,
            None => partial.create()?,
        };
        self.journal.begun(job, &path)?;
        Ok(Growing { file: File::from(file), is_new })
    }

    fn write(&self, file: &Growing, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        file.file.write_all_at(bytes, offset)
    }

    fn chunk_done(&self, job: usize, chunk: usize) -> Result<(), StargetError> {
        let one = &self.jobs[job];
        // A file of one chunk is complete now, and a hole is not on disk.
        let is_hole = one.chunk(chunk).is_none_or(|chunk| chunk.source == ChunkSource::Zeros);
        if is_hole || one.chunks().len() == 1 {
            return Ok(());
        }
        self.journal.chunk_done(job, chunk)
    }

    fn file_done(&self, job: usize, file: &Growing) -> Result<(), StargetError> {
        let one = &self.jobs[job];
        let path = one.path();
        let io = |source| StargetError::Io { doing: "complete", path: path.into(), source };
        if !file.is_new || one.has_holes() {
            file.file.set_len(one.size()).map_err(io)?;
        }
        if !one.is_proven_by_chunks() {
            check_whole(one, &file.file)?;
        }
        Attributes::of(one.entry())
            .apply(file.file.as_fd(), self.preserve)
            .map_err(|error| failed("set the attributes of", path, error))?;
        let partial = self.partial(job);
        let place = self.folder.place(path)?;
        let grown = place.beside(&partial).map_or_else(|| self.folder.place(&partial), Ok)?;
        place.take(&grown)?;
        self.journal.file_done(job)
    }

    fn file_failed(&self, job: usize, file: Option<&Growing>) {
        if file.is_some()
            && !self.journal.has_some_of(job)
            && let Ok(partial) = self.folder.place(&self.partial(job))
        {
            partial.discard();
        }
    }
}

impl Files {
    fn partial(&self, job: usize) -> String {
        self.partials.of(job, self.jobs[job].path())
    }
}

/// Compares a whole file with its digest, where its chunks have none.
fn check_whole(job: &Job, file: &File) -> Result<(), StargetError> {
    let mut check = job.layer.file_check(job.entry());
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    let size = job.size();
    while offset < size {
        let wanted = (size - offset).min(PIECE as u64) as usize;
        file.read_exact_at(&mut buffer[..wanted], offset).map_err(|source| StargetError::Io {
            doing: "read back",
            path: job.path().into(),
            source,
        })?;
        check.update(&buffer[..wanted]);
        offset += wanted as u64;
    }
    check
        .finish()
        .map_err(|source| StargetError::Layer { layer: Box::new(job.layer.digest()), source: Box::new(source) })
}

/// Where each job's file grows: beside its name, under one that no other file of the run has. The same every time.
pub(crate) struct Partials {
    /// Paths of jobs that another file would grow under.
    taken: HashSet<String>,
}

impl Partials {
    /// For these jobs.
    pub(crate) fn new(jobs: &[Job]) -> Self {
        let taken = jobs.iter().map(Job::path).filter(|path| path.ends_with(SUFFIX));
        Self { taken: taken.map(str::to_owned).collect() }
    }

    /// The path that the file of a job grows under.
    pub(crate) fn of(&self, job: usize, path: &str) -> String {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let beside = format!("{path}{SUFFIX}");
        if name.len() + SUFFIX.len() <= NAME_MAX && !self.taken.contains(&beside) {
            return beside;
        }
        let name = format!(".starget-{job}{SUFFIX}");
        if parent.is_empty() { name } else { format!("{parent}/{name}") }
    }
}
