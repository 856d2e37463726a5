//! Looks at what an earlier run left, and hashes it again.
//!
//! Must not trust the journal. Invariant: what is found here matched its digest a moment ago; anything else is fetched.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

use estargz::{Chunk, ChunkSource};
use oci::Digester;

use super::journal::Left;
use crate::extract::{Folder, Partials};
use crate::fetch::Job;
use crate::output;

const PIECE: usize = 128 * 1024;

/// What is there and right.
pub(crate) struct Found {
    /// Complete files.
    pub(crate) finished: Vec<bool>,
    /// Chunks of those that are not complete, of which there are some.
    pub(crate) chunks: HashMap<usize, HashSet<usize>>,
    /// Bytes that need not be fetched again.
    pub(crate) bytes: u64,
}

/// Hashes what the journal says is there.
pub(crate) fn look(folder: &Folder, jobs: &[Job], partials: &Partials, left: &Left) -> Found {
    let mut found = Found { finished: vec![false; jobs.len()], chunks: HashMap::new(), bytes: 0 };
    for (at, job) in jobs.iter().enumerate() {
        if left.done.contains(&at) {
            found.finished[at] = is_complete(folder, job);
            if found.finished[at] {
                found.bytes += job.size();
                continue;
            }
            output::note(&format!("{} is not as it was when it was downloaded: it is downloaded again", job.path()));
        }
        let Some(claimed) = left.chunks.get(&at) else { continue };
        let partial = partials.of(at, job.path());
        let Some(file) = open(folder, &partial) else { continue };
        for &index in claimed {
            let Some(chunk) = job.chunk(index).filter(|chunk| chunk.source != ChunkSource::Zeros) else {
                continue;
            };
            if chunk_is_right(&file, &chunk) {
                found.bytes += chunk.size;
                found.chunks.entry(at).or_default().insert(index);
            } else {
                let offset = chunk.file_offset;
                output::note(&format!("{partial}: the chunk at byte {offset} is damaged: it is downloaded again"));
            }
        }
    }
    found
}

fn open(folder: &Folder, path: &str) -> Option<File> {
    folder.place(path).ok()?.read().map(File::from)
}

fn is_complete(folder: &Folder, job: &Job) -> bool {
    let Some(file) = open(folder, job.path()) else { return false };
    let right_size = file.metadata().is_ok_and(|metadata| metadata.len() == job.size());
    if !right_size {
        return false;
    }
    if job.is_proven_by_chunks() {
        return job.chunks().all(|chunk| chunk_is_right(&file, &chunk));
    }
    let mut check = job.layer.file_check(job.entry());
    check.is_stated() && each_piece(&file, 0, job.size(), |bytes| check.update(bytes)) && check.finish().is_ok()
}

/// Without a digest nothing can be said, and so it is fetched again.
fn chunk_is_right(file: &File, chunk: &Chunk) -> bool {
    let Some(expected) = chunk.digest else { return false };
    let mut digester = Digester::new(expected.algorithm());
    each_piece(file, chunk.file_offset, chunk.size, |bytes| digester.update(bytes)) && digester.finish() == expected
}

fn each_piece(file: &File, offset: u64, length: u64, mut take: impl FnMut(&[u8])) -> bool {
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < length {
        let wanted = (length - done).min(PIECE as u64) as usize;
        if file.read_exact_at(&mut buffer[..wanted], offset + done).is_err() {
            return false;
        }
        take(&buffer[..wanted]);
        done += wanted as u64;
    }
    true
}
