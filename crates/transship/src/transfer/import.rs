//! `transship import`: all images of a layout or an archive into a hosted repository.
//!
//! Must not know file formats. Invariants: each image goes to the name that it is called by; one that fails does not stop
//! the others; what is there already is not moved again, so a second run goes on where the first one ended.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use image_archive::{Entry, ImageFiles};
use oci::{RepoKey, Tag};

use super::args::ImportArgs;
use super::error::TransferError;
use super::image::{Referrers, Transfer, Wanted};
use super::report::{Line, Outcome};
use super::sink::{Elsewhere, Sink};
use super::source::Source;
use super::{Command, Place};

/// The images of one name; those with tags first, for what has none mostly refers to them.
type Images<'f> = Vec<(Option<Tag>, &'f Entry)>;

/// Imports.
pub(super) async fn run(args: &ImportArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let key: RepoKey =
        args.key.parse().map_err(|error: oci::InvalidRepoKey| TransferError::usage(error.to_string()))?;
    let files = tokio::task::block_in_place(|| ImageFiles::open(&args.from))?;
    let entries = files.entries().to_vec();
    let names = by_name(&entries, args.name.as_deref())?;
    let source = Source::of_files(files);
    let client = command.connect(&Place::Server).await?;
    let elsewhere = Elsewhere::default();
    let mut outcome = Outcome::default();
    for (name, images) in names {
        let full = format!("{key}/{name}");
        let at = full.parse().map_err(|error: oci::InvalidRepositoryName| TransferError::usage(error.to_string()))?;
        let sink =
            Sink::Registry { client: client.clone(), name: at, rule: command.rule, elsewhere: elsewhere.clone() };
        let transfer = Transfer {
            source: &source,
            sink: &sink,
            tally: &command.tally,
            parallel: command.parallel,
            referrers: Referrers::Along,
            platform: None,
            owner: Some(&name),
            done: Mutex::new(HashSet::new()),
        };
        for (tag, entry) in images {
            let digest = entry.descriptor.digest;
            let is_done = transfer.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest);
            if tag.is_none() && is_done {
                continue;
            }
            let image = tag.as_ref().map_or_else(|| format!("{full}@{digest}"), |tag| format!("{full}:{tag}"));
            command.tally.begin(&image);
            let media_type = Some(entry.descriptor.media_type.clone());
            match transfer.run(Wanted { reference: digest.into(), media_type, tag }).await {
                Ok(_) => outcome.images.push(Line { image, digest }),
                Err(error) => outcome.failed.push((image, error)),
            }
        }
    }
    Ok(outcome)
}

/// Sorts the images by the names they belong to.
fn by_name<'f>(entries: &'f [Entry], given: Option<&str>) -> Result<BTreeMap<String, Images<'f>>, TransferError> {
    let mut names: BTreeMap<String, Images<'f>> = BTreeMap::new();
    for entry in entries {
        let Some(called) = entry.name() else {
            // Without a name it is there for what it refers to, and goes with that; or somebody says where it belongs.
            if let Some(given) = given {
                names.entry(given.to_owned()).or_default().push((None, entry));
            }
            continue;
        };
        let (name, tag) = place(called, given)?;
        names.entry(name).or_default().push((tag, entry));
    }
    if names.is_empty() {
        let what = "no image of it has a name; give one with --name, or push one with `transship push`";
        return Err(TransferError::usage(what));
    }
    for images in names.values_mut() {
        images.sort_by_key(|(tag, _)| tag.is_none());
    }
    Ok(names)
}

/// `team/app:v1`, `team/app@sha256:…`, `v1` beside `--name`, or any with a registry before it.
fn place(called: &str, given: Option<&str>) -> Result<(String, Option<Tag>), TransferError> {
    let read = |tag: &str| tag.parse::<Tag>().map_err(|error| TransferError::usage(error.to_string()));
    if let Some((name, _)) = called.split_once('@') {
        return Ok((without_host(name), None));
    }
    let last = called.rfind('/').map_or(0, |slash| slash + 1);
    match (called[last..].split_once(':'), given) {
        (Some((end, tag)), _) => Ok((without_host(&format!("{}{end}", &called[..last])), Some(read(tag)?))),
        (None, Some(given)) => Ok((given.to_owned(), Some(read(called)?))),
        (None, None) => Err(TransferError::usage(format!(
            "the image '{called}' has a tag and no name; say with --name where it belongs"
        ))),
    }
}

fn without_host(name: &str) -> String {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest.to_owned(),
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_goes_to_the_name_that_it_is_called_by() {
        let tag = |text: &str| Some(text.parse().unwrap());
        assert_eq!(place("team/app:v1", None).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("app:v1", None).unwrap(), ("app".to_owned(), tag("v1")));
        assert_eq!(place("ghcr.io:443/team/app:v1", Some("x")).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("v1", Some("team/app")).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("team/app@sha256:0", None).unwrap(), ("team/app".to_owned(), None));
        assert!(place("v1", None).unwrap_err().what.contains("--name"));
    }
}
