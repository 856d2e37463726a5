//! `transship pull`: an image of a registry into a layout or an archive.
//!
//! Must not know file formats. Invariant: what is named in the layout is complete and verified.

use std::path::Path;
use std::sync::Mutex;

use image_archive::{DockerImage, Entry, REPOSITORY};
use oci::{Descriptor, ManifestFacts, Reference};

use super::args::PullArgs;
use super::error::{Reason, TransferError};
use super::files::Spot;
use super::image::{Moved, Referrers, Transfer, Wanted};
use super::place::Written;
use super::report::{Line, Outcome};
use super::sink::Sink;
use super::{Address, Command};
use oci::Platform;

/// What the configurations of container images are.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// Who said what the image is called in the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedBy {
    /// Whoever typed the command: an image of that name is to be replaced.
    Hand,
    /// Nobody; it is the tag.
    Tag,
}

/// Pulls.
pub(super) async fn run(args: &PullArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let address = Address::read(&args.image)?;
    let reference = address.reference_or_latest()?;
    let address = address.with(reference.clone());
    let source = command.source(&address).await?;
    let (written, name, by) = match (&args.oci_layout, &args.docker_archive) {
        (Some(layout), _) => {
            let Spot { path, name } = Spot::read(layout);
            let by = if name.is_some() { NamedBy::Hand } else { NamedBy::Tag };
            (Written::layout(&path)?, name.or_else(|| reference.tag().map(ToString::to_string)), by)
        }
        (None, Some(archive)) => {
            (Written::archive(archive)?, reference.tag().map(|_| address.to_string()), NamedBy::Hand)
        }
        (None, None) => return Err(TransferError::usage("nowhere to write to: give --oci-layout or --docker-archive")),
    };
    // docker's archives hold images, not lists of them.
    let own = args.docker_archive.is_some().then(Platform::of_this_machine);
    command.tally.begin(&address.to_string());
    let transfer = Transfer {
        source: &source,
        sink: &Sink::Layout(written.writer.clone()),
        tally: &command.tally,
        parallel: command.parallel,
        referrers: if args.referrers { Referrers::Along } else { Referrers::Left },
        platform: args.platform.as_ref().or(own.as_ref()),
        owner: None,
        done: Mutex::default(),
    };
    let tag = reference.tag().cloned();
    let moved = match transfer.run(Wanted { reference, media_type: None, tag }).await {
        Ok(moved) => moved,
        Err(error) => return Err(written.stop(error)),
    };
    let repository = Address { reference: None, ..address.clone() }.to_string();
    if let (NamedBy::Tag, Some(name), Some(root)) = (by, &name, moved.first())
        && is_taken(&written.entries()?, name, root, &repository)
    {
        let path = args.oci_layout.as_deref().unwrap_or_default();
        return Err(written.stop(TransferError::usage(format!(
            "{path} has an image '{name}' that is not of {repository}; name this one behind a colon: --oci-layout {path}:NAME"
        ))));
    }
    let entries = moved
        .iter()
        .enumerate()
        .map(|(at, moved)| entry(moved, at == 0, name.as_deref()).with_annotation(REPOSITORY, &repository));
    let docker = match (&args.docker_archive, moved.first()) {
        (Some(_), Some(root)) => match docker_image(written.writer.folder(), root, name.as_deref()) {
            Ok(image) => vec![image],
            Err(error) => return Err(written.discard(error)),
        },
        (Some(_) | None, _) => Vec::new(),
    };
    written.finish(entries.collect(), |_| false, &docker)?;
    let line = |moved: &Moved| {
        let reference = moved.tag.clone().map_or(moved.digest.into(), Reference::from);
        Line { image: address.with(reference).to_string(), digest: moved.digest }
    };
    Ok(Outcome { images: moved.iter().map(line).collect(), failed: Vec::new() })
}

/// Whether the tag is the name of another image, of another repository as far as is known.
fn is_taken(entries: &[Entry], name: &str, root: &Moved, repository: &str) -> bool {
    let mut alike = entries.iter().filter(|old| old.name() == Some(name) && old.descriptor.digest != root.digest);
    alike.any(|old| old.annotation(REPOSITORY) != Some(repository))
}

fn entry(moved: &Moved, is_root: bool, name: Option<&str>) -> Entry {
    let tag = moved.tag.as_ref().map(ToString::to_string);
    let name = if is_root { name } else { tag.as_deref() };
    Entry::new(&moved.media_type, moved.digest, moved.size, name)
}

fn docker_image(folder: &Path, root: &Moved, name: Option<&str>) -> Result<DockerImage, TransferError> {
    let unfit = |what: String| TransferError::new(Reason::Other, what);
    let file = folder.join("blobs").join(root.digest.algorithm().as_str()).join(root.digest.hex());
    let bytes = std::fs::read(&file).map_err(|error| unfit(format!("{}: {error}", file.display())))?;
    let facts = ManifestFacts::parse(&bytes, Some(&root.media_type)).map_err(|error| unfit(error.to_string()))?;
    let is_image = |config: &Descriptor| IMAGE_CONFIGS.contains(&config.media_type.as_str());
    let Some(config) = facts.config.filter(is_image) else {
        return Err(unfit(format!("{} is no container image; write it with --oci-layout", root.digest)));
    };
    let layers = facts.layers.into_iter().map(|layer| layer.digest).collect();
    Ok(DockerImage { names: name.map(str::to_owned).into_iter().collect(), config: config.digest, layers })
}
