//! A layout that is being written: in its folder, or beside the tar file that it becomes.
//!
//! Must not know what is put in. Invariants: a tar file has its name only when it is whole; until then what came is in a
//! folder beside it, from which the next run goes on; images that the layout had stay in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image_archive::{DockerImage, Entry, ImageFiles, LayoutWriter, pack};

use super::error::{Reason, TransferError};

/// Where images are written to.
pub(crate) struct Written {
    pub(crate) writer: Arc<LayoutWriter>,
    tar: Option<PathBuf>,
    /// The tar file as it was: its images go into the new one.
    before: Option<ImageFiles>,
    /// The folder was made for this command.
    is_new: bool,
}

impl Written {
    /// A folder, or a tar file when it is called one.
    pub(crate) fn layout(path: &Path) -> Result<Self, TransferError> {
        let is_tar = path.extension().is_some_and(|extension| extension == "tar") && !path.is_dir();
        if is_tar {
            // An empty file holds the name, and nothing.
            let is_there = path.metadata().is_ok_and(|found| found.len() > 0);
            let before = is_there.then(|| ImageFiles::open(path)).transpose()?;
            return Ok(Self { before, ..Self::archive(path)? });
        }
        let is_new = !path.exists();
        Ok(Self { writer: Arc::new(LayoutWriter::open(path)?), tar: None, before: None, is_new })
    }

    /// A tar file that replaces what is there.
    pub(crate) fn archive(path: &Path) -> Result<Self, TransferError> {
        let Some(name) = path.file_name() else {
            return Err(TransferError::usage(format!("{} is no file", path.display())));
        };
        let folder = path.with_file_name(format!("{}.partial", name.to_string_lossy()));
        let writer = Arc::new(LayoutWriter::open(&folder)?);
        Ok(Self { writer, tar: Some(path.to_owned()), before: None, is_new: true })
    }

    /// The images that are there already. Those of a folder beside a tar file belong to a run that was stopped: they are not.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, TransferError> {
        match (&self.tar, &self.before) {
            (None, _) => Ok(self.writer.entries()?),
            (Some(_), Some(before)) => Ok(before.entries().to_vec()),
            (Some(_), None) => Ok(Vec::new()),
        }
    }

    /// Gives up what was begun: what came is of no use.
    pub(crate) fn discard(self, error: TransferError) -> TransferError {
        let folder = self.writer.folder();
        let removed = if self.is_new { fs::remove_dir_all(folder) } else { Ok(()) };
        match removed {
            Ok(()) => error,
            Err(left) => error.of(format!("{} stays: {left}", folder.display())),
        }
    }

    /// Stops: what came stays for the next run, if anything came.
    pub(crate) fn stop(self, error: TransferError) -> TransferError {
        let came = self.writer.folder().join("blobs").exists();
        if came { error } else { self.discard(error) }
    }

    /// Names the images; those of the same name, and those for which `goes` says so, make way.
    pub(crate) fn finish(
        self,
        new: Vec<Entry>,
        goes: impl Fn(&Entry) -> bool,
        docker: &[DockerImage],
    ) -> Result<(), TransferError> {
        let mut entries = self.entries()?;
        let replaced = |old: &Entry| {
            let same = |new: &Entry| match (old.name(), new.name()) {
                (Some(old), Some(new)) => old == new,
                (None, None) => old.descriptor.digest == new.descriptor.digest,
                (Some(_), None) | (None, Some(_)) => false,
            };
            new.iter().any(same)
        };
        entries.retain(|entry| !replaced(entry) && !goes(entry));
        if let Some(before) = &self.before {
            let bring = || entries.iter().try_for_each(|entry| self.writer.bring(before, &entry.descriptor));
            tokio::task::block_in_place(bring)?;
        }
        entries.extend(new);
        self.writer.finish(&entries)?;
        let Some(tar) = self.tar else { return Ok(()) };
        let folder = self.writer.folder();
        tokio::task::block_in_place(|| pack(folder, &tar, docker))?;
        fs::remove_dir_all(folder)
            .map_err(|error| TransferError::new(Reason::Other, format!("{}: {error}", folder.display())))
    }
}
