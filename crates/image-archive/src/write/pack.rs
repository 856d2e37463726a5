//! A layout as one tar file, with docker's own list beside the index where docker is to read it.
//!
//! Must not know compression: layers are as they are. Invariants: the same layout gives the same bytes; the file has its
//! name only when it is whole; of the folder's blobs it has those that the index leads to, not what other runs left.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use oci::Digest;
use serde_json::{Value, json};

use super::reach;
use crate::error::ArchiveError;
use crate::{BLOBS, DOCKER_LIST, INDEX, LAYOUT, blob_name};

/// An image as docker's list has it.
#[derive(Clone, Debug)]
pub struct DockerImage {
    /// What `docker load` calls it: `name:tag`.
    pub names: Vec<String>,
    /// Its configuration.
    pub config: Digest,
    /// Its layers, the lowest first.
    pub layers: Vec<Digest>,
}

/// Writes the layout in `folder` to `file`. `docker`: the images of docker's list; none, and there is no list.
pub fn pack(folder: &Path, file: &Path, docker: &[DockerImage]) -> Result<(), ArchiveError> {
    let reached = reach::from_index(folder)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut tar = tar::Builder::new(BufWriter::new(File::create(&new)?));
        if !docker.is_empty() {
            let list = docker_list(docker).to_string();
            append(&mut tar, DOCKER_LIST, list.len() as u64, list.as_bytes())?;
        }
        for member in members(folder, &reached)? {
            let source = File::open(folder.join(&member))?;
            let size = source.metadata()?.len();
            append(&mut tar, &member, size, source)?;
        }
        let out = tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(ArchiveError::io(file))
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, bytes: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, name, bytes.take(size))
}

/// The files of a layout, documents first: who reads a stream knows what comes.
fn members(folder: &Path, reached: &HashSet<Digest>) -> io::Result<Vec<String>> {
    let mut all = vec![LAYOUT.to_owned(), INDEX.to_owned()];
    for algorithm in sorted(&folder.join(BLOBS))? {
        let Some(kind) = algorithm.file_name().and_then(|name| name.to_str()) else { continue };
        for blob in sorted(&algorithm)? {
            let digest = blob.file_name().and_then(|name| format!("{kind}:{}", name.to_str()?).parse::<Digest>().ok());
            all.extend(digest.filter(|digest| reached.contains(digest)).map(|digest| blob_name(&digest)));
        }
    }
    Ok(all)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn docker_list(images: &[DockerImage]) -> Value {
    let images = images.iter().map(|image| {
        let layers: Vec<String> = image.layers.iter().map(blob_name).collect();
        json!({ "Config": blob_name(&image.config), "RepoTags": image.names, "Layers": layers })
    });
    images.collect()
}
