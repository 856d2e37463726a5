//! `transship copy`: images from one registry to another.
//!
//! Must not know file formats. Invariants: manifests keep their bytes; with `--all-tags` one that fails does not stop the
//! others.

use std::sync::Mutex;

use oci::{Reference, Tag};

use super::args::CopyArgs;
use super::error::TransferError;
use super::image::{Moved, Referrers, Transfer, Wanted};
use super::report::{Line, Outcome};
use super::source::Source;
use super::{Address, Command};

/// Most tags of one name.
const MAX_TAGS: usize = 1_000_000;

/// Copies.
pub(super) async fn run(args: &CopyArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let (from, to) = (Address::read(&args.source)?, Address::read(&args.target)?);
    let source = command.source(&from).await?;
    let sink = command.sink(&to).await?;
    let transfer = Transfer {
        source: &source,
        sink: &sink,
        tally: &command.tally,
        parallel: command.parallel,
        referrers: if args.referrers { Referrers::Along } else { Referrers::Left },
        platform: args.platform.as_ref(),
        owner: None,
        done: Mutex::default(),
    };
    if !args.all_tags {
        let reference = from.reference_or_latest()?;
        let tag = match (&to.reference, &reference) {
            (Some(Reference::Tag(tag)), _) | (None, Reference::Tag(tag)) => Some(tag.clone()),
            (Some(Reference::Digest(wanted)), Reference::Digest(given)) if wanted != given => {
                return Err(TransferError::usage("source and target name two digests"));
            }
            (Some(Reference::Digest(_)) | None, _) => None,
        };
        command.tally.begin(&from.to_string());
        let moved = transfer.run(Wanted { reference, media_type: None, tag }).await?;
        return Ok(Outcome { images: moved.iter().map(|moved| line(&to, moved)).collect(), failed: Vec::new() });
    }
    if from.reference.is_some() || to.reference.is_some() {
        return Err(TransferError::usage("with --all-tags, source and target are written without a tag or digest"));
    }
    let mut outcome = Outcome::default();
    for tag in tags(&source).await? {
        command.tally.begin(&format!("{from}:{tag}"));
        let wanted = Wanted { reference: tag.clone().into(), media_type: None, tag: Some(tag.clone()) };
        match transfer.run(wanted).await {
            Ok(moved) => outcome.images.extend(moved.iter().map(|moved| line(&to, moved))),
            Err(error) => outcome.failed.push((format!("{from}:{tag}"), error)),
        }
    }
    Ok(outcome)
}

fn line(to: &Address, moved: &Moved) -> Line {
    let reference = moved.tag.clone().map_or(moved.digest.into(), Reference::from);
    Line { image: to.with(reference).to_string(), digest: moved.digest }
}

/// All tags of a name.
pub(super) async fn tags(source: &Source) -> Result<Vec<Tag>, TransferError> {
    let Some((client, name)) = source.registry() else { return Ok(Vec::new()) };
    let (mut tags, mut last) = (Vec::new(), None::<String>);
    loop {
        let page = client.list_tags(name, Some(1000), last.as_deref()).await?;
        tags.extend(page.tags);
        if tags.len() > MAX_TAGS {
            return Err(TransferError::usage(format!("{name} has more than {MAX_TAGS} tags")));
        }
        match page.next_last {
            Some(next) => last = Some(next),
            None => return Ok(tags),
        }
    }
}
