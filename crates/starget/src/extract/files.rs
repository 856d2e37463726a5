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

/// The files of one run.
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) jobs: Arc<Vec<Job>>,
    pub(crate) attributes: Vec<Attributes>,
    pub(crate) preserve: Preserve,
    pub(crate) journal: Journal,
    /// The paths that files grow under.
    pub(crate) partials: Vec<String>,
}

/// A file that grows.
pub(crate) struct Growing {
    file: File,
}

impl Sink for Files {
    type File = Growing;

    fn open(&self, job: usize) -> Result<Growing, StargetError> {
        let partial = self.folder.place(&self.partials[job])?;
        let kept = if self.journal.has_some_of(job) { partial.reopen()? } else { None };
        let file = match kept {
            Some(file) => file,
            None => partial.create()?,
        };
        self.journal.begun(job, &self.partials[job])?;
        Ok(Growing { file: File::from(file) })
    }

    fn write(&self, file: &Growing, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        file.file.write_all_at(bytes, offset)
    }

    fn chunk_done(&self, job: usize, chunk: usize) -> Result<(), StargetError> {
        let one = &self.jobs[job];
        // A file of one chunk is complete now, and a hole is not on disk.
        if one.chunks.len() == 1 || one.chunks[chunk].source == ChunkSource::Zeros {
            return Ok(());
        }
        self.journal.chunk_done(job, chunk)
    }

    fn file_done(&self, job: usize, file: &Growing) -> Result<(), StargetError> {
        let one = &self.jobs[job];
        let io = |source| StargetError::Io { doing: "complete", path: one.path.clone().into(), source };
        file.file.set_len(one.size).map_err(io)?;
        if !one.proven_by_chunks {
            check_whole(one, &file.file)?;
        }
        self.attributes[job]
            .apply(file.file.as_fd(), self.preserve)
            .map_err(|error| failed("set the attributes of", &one.path, error))?;
        let (partial, place) = (self.folder.place(&self.partials[job])?, self.folder.place(&one.path)?);
        place.take(&partial)?;
        self.journal.file_done(job)
    }

    fn file_failed(&self, job: usize, file: Option<&Growing>) {
        if file.is_some()
            && !self.journal.has_some_of(job)
            && let Ok(partial) = self.folder.place(&self.partials[job])
        {
            partial.discard();
        }
    }
}

/// Compares a whole file with its digest, where its chunks have none.
fn check_whole(job: &Job, file: &File) -> Result<(), StargetError> {
    let mut check = job.layer.file_check(job.layer.toc().entry(job.entry));
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    while offset < job.size {
        let wanted = (job.size - offset).min(PIECE as u64) as usize;
        file.read_exact_at(&mut buffer[..wanted], offset).map_err(|source| StargetError::Io {
            doing: "read back",
            path: job.path.clone().into(),
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
pub(crate) fn partials(jobs: &[Job]) -> Vec<String> {
    let taken: HashSet<&str> = jobs.iter().map(|job| job.path.as_str()).collect();
    let of = |(at, job): (usize, &Job)| {
        let (parent, name) = job.path.rsplit_once('/').map_or(("", job.path.as_str()), |(parent, name)| (parent, name));
        let beside = format!("{}.partial", job.path);
        if name.len() + ".partial".len() <= NAME_MAX && !taken.contains(beside.as_str()) {
            return beside;
        }
        let name = format!(".starget-{at}.partial");
        if parent.is_empty() { name } else { format!("{parent}/{name}") }
    };
    jobs.iter().enumerate().map(of).collect()
}
