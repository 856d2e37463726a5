//! All journals of the state folder: what each is about, and whether anything is left of it.
//!
//! Must not know images. Invariants: a journal that a run holds is left alone; only files that a journal names and that end in
//! `.partial` are removed with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::journal::Header;
use crate::error::StargetError;

/// Longest line of a journal that is read, in bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// Most partial files of one journal that are told apart.
const MOST_PARTIALS: usize = 1_000_000;

/// How a download that was broken off stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A run holds it.
    Running,
    /// It can go on where it stopped.
    Resumable,
    /// What was written is gone, or the journal cannot be read: nothing can go on.
    Orphaned,
}

impl Standing {
    /// One word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Resumable => "resumable",
            Self::Orphaned => "orphaned",
        }
    }
}

/// One journal.
#[derive(Debug)]
pub(crate) struct Leftover {
    /// Its file.
    pub(crate) journal: PathBuf,
    /// What it is about; none when it cannot be read.
    pub(crate) header: Option<Header>,
    /// How many files are complete.
    pub(crate) done: usize,
    /// The partial files that are there.
    pub(crate) partials: Vec<PathBuf>,
    /// When it was last written to.
    pub(crate) touched: SystemTime,
    /// How it stands.
    pub(crate) standing: Standing,
}

/// All journals, the one written to last first.
pub(crate) fn list(folder: &Path) -> Result<Vec<Leftover>, StargetError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(StargetError::Io { doing: "read the state folder", path: folder.to_owned(), source });
        }
        Ok(entries) => entries,
    };
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let paths = entries.flatten().map(|entry| entry.path()).filter(is_journal);
    // One that was completed in the meantime is not there any more.
    let mut found: Vec<Leftover> = paths.filter_map(|path| look_at(path).ok()).collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.touched));
    Ok(found)
}

/// Removes a journal with the partial files that are left of it.
pub(crate) fn remove(one: &Leftover) -> Result<(), StargetError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        |source| StargetError::Io { doing: "remove", path, source }
    };
    for partial in &one.partials {
        fs::remove_file(partial).map_err(io(partial))?;
    }
    fs::remove_file(&one.journal).map_err(io(&one.journal))
}

fn look_at(journal: PathBuf) -> std::io::Result<Leftover> {
    let file = File::open(&journal)?;
    let touched = file.metadata()?.modified()?;
    let running = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err();
    let mut lines = BufReader::new(&file).split(b'\n').map_while(Result::ok).filter(|line| line.len() <= LONGEST_LINE);
    let header: Option<Header> = lines.next().and_then(|line| serde_json::from_slice(&line).ok());
    let (mut done, mut partials) = (0, Vec::new());
    for line in lines {
        let text = String::from_utf8_lossy(&line);
        match (text.split_once(' '), &header) {
            (Some(("d", _)), _) => done += 1,
            (Some(("p", rest)), Some(header)) if partials.len() < MOST_PARTIALS => {
                partials.extend(rest.split_once(' ').and_then(|(_, quoted)| partial(header, quoted)));
            }
            _ => {}
        }
    }
    partials.sort();
    partials.dedup();
    let standing = match &header {
        _ if running => Standing::Running,
        Some(_) if done > 0 || !partials.is_empty() => Standing::Resumable,
        Some(_) | None => Standing::Orphaned,
    };
    let gone = header.as_ref().is_some_and(|header| !header.out.exists()) && partials.is_empty();
    let standing = if gone && standing == Standing::Resumable { Standing::Orphaned } else { standing };
    Ok(Leftover { journal, header, done, partials, touched, standing })
}

/// Where a partial file is, when it is there and is one.
fn partial(header: &Header, quoted: &str) -> Option<PathBuf> {
    let name: String = serde_json::from_str(quoted).ok()?;
    let relative = Path::new(&name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || relative.extension().is_none_or(|extension| extension != "partial") {
        return None;
    }
    // The journal of one file names the file, and not the folder it is in.
    let up = if header.files == 1 { relative.components().count() } else { 0 };
    let path = header.out.ancestors().nth(up)?.join(relative);
    fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()).then_some(path)
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;
    use crate::resume::Journal;

    fn header(out: &Path, files: usize) -> Header {
        Header::new("a:1".into(), Digest::sha256_of(b"m"), None, "usr/".into(), out.into(), files)
    }

    #[test]
    fn what_can_go_on_is_told_from_what_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let (state, out) = (folder.path().join("state"), folder.path().join("out"));
        assert!(list(&state).unwrap().is_empty());
        fs::create_dir_all(out.join("bin")).unwrap();
        fs::write(out.join("bin/x.partial"), "x").unwrap();
        let (running, _) = Journal::open(&state, &header(&out, 3)).unwrap();
        running.begun(0, "bin/x.partial").unwrap();
        running.file_done(1).unwrap();
        let (gone, _) = Journal::open(&state, &header(&folder.path().join("gone"), 3)).unwrap();
        gone.begun(0, "x.partial").unwrap();
        drop(gone);
        fs::write(state.join("broken.journal"), "{").unwrap();
        let of = |standing| list(&state).unwrap().into_iter().filter(move |one| one.standing == standing);
        assert_eq!((of(Standing::Running).count(), of(Standing::Orphaned).count()), (1, 2));
        drop(running);
        let left: Vec<Leftover> = of(Standing::Resumable).collect();
        assert_eq!((left.len(), left[0].done, &left[0].partials[..]), (1, 1, &[out.join("bin/x.partial")][..]));
        for one in list(&state).unwrap() {
            remove(&one).unwrap();
        }
        assert!(list(&state).unwrap().is_empty() && !out.join("bin/x.partial").exists());
    }

    #[test]
    fn a_journal_cannot_have_anything_else_removed() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        for name in ["mine", "mine.partial.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
            fs::write(out.join(name), "").unwrap();
        }
        fs::write(folder.path().join("x.partial"), "").unwrap();
        for name in ["../x.partial", "../mine", "mine", "mine.partial.txt", "/etc/x.partial"] {
            assert_eq!(partial(&header(&out, 2), &serde_json::Value::from(name).to_string()), None, "{name}");
        }
        let single = header(&folder.path().join("x"), 1);
        assert_eq!(partial(&single, "\"x.partial\""), Some(folder.path().join("x.partial")));
    }
}
