//! The workers, and what became of each file.
//!
//! Must not know where content goes. Invariants: at most as many pieces as there are workers are under way; a file is
//! finished by whoever finishes its last chunk, once; one that failed is not finished.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use estargz::ChunkSource;

use super::pieces::{Part, Piece, Plan};
use super::worker;
use super::{Job, Sink};
use crate::error::StargetError;
use crate::layers::LayerSource;
use crate::progress::Progress;

/// What became of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Files that are there.
    pub(crate) done: usize,
    /// Their content, in bytes.
    pub(crate) bytes: u64,
    /// Files that are not, with the reason.
    pub(crate) failed: Vec<(usize, StargetError)>,
}

/// What the workers share.
pub(crate) struct Shared<S: Sink> {
    pub(super) jobs: Arc<Vec<Job>>,
    pub(super) sink: S,
    pub(super) sources: Vec<Arc<LayerSource>>,
    pub(super) progress: Progress,
    files: Vec<FileState<S::File>>,
    pub(super) plan: Plan,
    /// The next piece that nobody has.
    next: AtomicUsize,
    outcome: Mutex<Outcome>,
}

struct FileState<F> {
    /// Chunks that are still to come.
    left: AtomicU32,
    /// Held while the file is opened. Open from the first chunk to the end of the file and no longer: an image has more files
    /// than a process may have open.
    file: Mutex<Option<Arc<F>>>,
    failed: AtomicBool,
}

/// What is to be done: files, the requests for what of them is not there, and how many chunks that is for each.
pub(crate) struct Work {
    pub(crate) jobs: Arc<Vec<Job>>,
    pub(crate) plan: Plan,
    /// How many chunks are there already, of jobs that have some.
    pub(crate) present: HashMap<usize, usize>,
    /// Jobs that are there completely.
    pub(crate) finished: Vec<bool>,
    pub(crate) sources: Vec<Arc<LayerSource>>,
}

/// Does the work; what failed is in the outcome.
pub(crate) async fn fetch<S: Sink + 'static>(work: Work, sink: S, workers: usize, progress: Progress) -> (S, Outcome) {
    let Work { jobs, plan, present, finished, sources } = work;
    let state = |(at, job): (usize, &Job)| FileState {
        left: AtomicU32::new(job.chunks().len().saturating_sub(present.get(&at).copied().unwrap_or(0)) as u32),
        file: Mutex::new(None),
        failed: AtomicBool::new(false),
    };
    let files = jobs.iter().enumerate().map(state).collect();
    let workers = workers.min(plan.pieces().len()).max(1);
    let shared = Arc::new(Shared {
        jobs,
        sink,
        sources,
        progress,
        files,
        plan,
        next: AtomicUsize::new(0),
        outcome: Mutex::default(),
    });
    tokio::task::block_in_place(|| without_requests(&shared, &finished));
    let running: Vec<_> = (0..workers).map(|_| tokio::spawn(worker::run(shared.clone()))).collect();
    for worker in running {
        if let Err(error) = worker.await {
            // A worker's files are not finished, and so not counted as done; say why.
            tracing::error!(%error, "a worker ended early");
        }
    }
    let shared = Arc::into_inner(shared).expect("the workers have ended");
    let mut outcome = shared.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.failed.sort_by_key(|(job, _)| *job);
    (shared.sink, outcome)
}

/// What needs nobody: files that are there, empty ones, and holes.
fn without_requests<S: Sink>(shared: &Shared<S>, finished: &[bool]) {
    for (at, job) in shared.jobs.iter().enumerate() {
        if finished[at] {
            shared.count(at);
            continue;
        }
        let holes = job.chunks().enumerate().filter(|(_, chunk)| chunk.source == ChunkSource::Zeros);
        for (chunk, _) in holes {
            shared.chunk_done(Part { job: at, chunk });
        }
        if shared.files[at].left.load(Ordering::Acquire) == 0 && !job.has_holes() {
            shared.finish(at);
        }
    }
}

impl<S: Sink> Shared<S> {
    pub(super) fn next_piece(&self) -> Option<&Piece> {
        self.plan.pieces().get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The file of a job, opened by whoever comes first; none when it has failed.
    pub(super) fn file(&self, job: usize) -> Option<Arc<S::File>> {
        let state = &self.files[job];
        let mut slot = state.file.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.load(Ordering::Acquire) {
            return None;
        }
        if let Some(file) = &*slot {
            return Some(file.clone());
        }
        match self.sink.open(job) {
            Ok(file) => Some(slot.insert(Arc::new(file)).clone()),
            Err(error) => {
                drop(slot);
                self.fail(job, error);
                None
            }
        }
    }

    pub(super) fn is_failed(&self, job: usize) -> bool {
        self.files[job].failed.load(Ordering::Acquire)
    }

    /// A chunk is there and proven; the last one finishes its file.
    pub(super) fn chunk_done(&self, part: Part) {
        if self.is_failed(part.job) {
            return;
        }
        if let Err(error) = self.sink.chunk_done(part.job, part.chunk) {
            return self.fail(part.job, error);
        }
        if self.files[part.job].left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish(part.job);
        }
    }

    fn finish(&self, job: usize) {
        let Some(file) = self.file(job) else { return };
        self.close(job);
        match self.sink.file_done(job, &file) {
            Ok(()) => self.count(job),
            Err(error) => self.fail(job, error),
        }
    }

    /// Lets go of the file; who is still writing to it has a handle of its own.
    fn close(&self, job: usize) -> Option<Arc<S::File>> {
        self.files[job].file.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn count(&self, job: usize) {
        let size = self.jobs[job].size();
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.done += 1;
        outcome.bytes += size;
        self.progress.file_done();
    }

    /// The file will not be completed. Only the first reason counts.
    pub(super) fn fail(&self, job: usize, error: StargetError) {
        let state = &self.files[job];
        if state.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::info!(path = self.jobs[job].path(), error = %crate::report::as_text(&error), "file failed");
        let file = self.close(job);
        self.sink.file_failed(job, file.as_deref());
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).failed.push((job, error));
    }
}
