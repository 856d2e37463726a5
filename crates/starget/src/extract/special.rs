//! What comes after all files: links, pipes, devices, and the modes and times of directories.
//!
//! Must not follow links. Invariant: a hard link is made only to a file of this run, by its place below the folder; devices
//! only when that was asked for.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode};

use super::attributes::{Attributes, Preserve};
use super::folder::{Folder, Place, failed};
use super::shape::Special;
use crate::error::StargetError;

/// What was left out, and what failed.
#[derive(Default)]
pub(crate) struct Finished {
    pub(crate) made: usize,
    /// Devices that were not asked for.
    pub(crate) devices_left_out: usize,
    pub(crate) failed: Vec<(String, StargetError)>,
}

/// Whether the folder itself gets the attributes of the image's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// It was made for this download.
    AsTheImage,
    /// It was there before, and is its owner's.
    AsItIs,
}

/// Makes everything that has no content of its own, then gives directories their attributes, the deepest first.
pub(crate) fn finish(
    folder: &Folder,
    special: &[(String, Special, Attributes)],
    directories: &[(String, Attributes)],
    root: Root,
    preserve: Preserve,
) -> Finished {
    let mut finished = Finished::default();
    for (path, what, attributes) in special {
        let is_device = matches!(what, Special::Character(_) | Special::Block(_));
        if is_device && !preserve.devices {
            finished.devices_left_out += 1;
            continue;
        }
        match make(folder, path, what, attributes, preserve) {
            Ok(()) => finished.made += 1,
            Err(error) => finished.failed.push((path.clone(), error)),
        }
    }
    for (path, attributes) in directories.iter().rev() {
        if path.is_empty() && root == Root::AsItIs {
            continue;
        }
        let given = folder.directory(path).and_then(|directory| {
            attributes.apply(directory.as_fd(), preserve).map_err(|error| failed("set the attributes of", path, error))
        });
        finished.failed.extend(given.err().map(|error| (path.clone(), error)));
    }
    finished
}

fn make(
    folder: &Folder,
    path: &str,
    what: &Special,
    attributes: &Attributes,
    preserve: Preserve,
) -> Result<(), StargetError> {
    let place = folder.place(path)?;
    place.clear()?;
    let Place { directory, name, .. } = &place;
    let made = match what {
        Special::Symlink(text) => rustix::fs::symlinkat(text.as_str(), directory, *name),
        Special::Hardlink(first) => {
            let first = folder.place(first)?;
            rustix::fs::linkat(&*first.directory, first.name, directory, *name, AtFlags::empty())
        }
        Special::Fifo => rustix::fs::mknodat(directory, *name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0),
        Special::Character(number) => {
            let device = rustix::fs::makedev(number.major, number.minor);
            rustix::fs::mknodat(directory, *name, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, device)
        }
        Special::Block(number) => {
            let device = rustix::fs::makedev(number.major, number.minor);
            rustix::fs::mknodat(directory, *name, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, device)
        }
    };
    made.map_err(|error| failed("make", path, error))?;
    let given = match what {
        // It is the file, which has its attributes.
        Special::Hardlink(_) => Ok(()),
        Special::Symlink(_) => attributes.apply_to_link(directory, name, preserve),
        Special::Fifo | Special::Character(_) | Special::Block(_) => {
            // Made a moment ago in a directory that we hold: it is what was made, not a link.
            rustix::fs::chmodat(directory, *name, attributes.mode(preserve), AtFlags::empty())
                .and_then(|()| attributes.apply_to_link(directory, name, preserve))
        }
    };
    given.map_err(|error| failed("set the attributes of", path, error))
}
