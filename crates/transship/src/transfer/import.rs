//! `transship import`: all images of a layout or an archive into a hosted repository.
//!
//! Must not know file formats. Invariants: each image goes to the name that it is called by; one that fails does not stop
//! the others; what is there already is not moved again, so a second run goes on where the first one ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use image_archive::{Entry, ImageFiles};
use oci::{Descriptor, Digest, RepoKey, Tag};

use super::args::ImportArgs;
use super::error::{Reason, TransferError};
use super::image::{Referrers, Transfer, Wanted};
use super::report::{Line, Outcome};
use super::sink::{Elsewhere, Sink};
use super::source::{Source, Unreadable};
use super::{Command, Place};

/// The images of one name; those with tags first, for what has none mostly refers to them.
type Images<'f> = Vec<(Option<Tag>, &'f Entry)>;

/// What goes where.
#[derive(Debug, Default)]
struct Sorted<'f> {
    names: BTreeMap<String, Images<'f>>,
    /// What has no place at a registry.
    failed: Vec<(String, TransferError)>,
}

/// Imports.
pub(super) async fn run(args: &ImportArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let key: RepoKey =
        args.key.parse().map_err(|error: oci::InvalidRepoKey| TransferError::usage(error.to_string()))?;
    let files = tokio::task::block_in_place(|| ImageFiles::open(&args.from))?;
    let entries = files.entries().to_vec();
    let Sorted { names, failed } = by_name(&entries, args.name.as_deref())?;
    let source = Source::of_files(files, Unreadable::Skipped);
    let client = command.connect(&Place::Server).await?;
    let elsewhere = Elsewhere::default();
    let mut outcome = Outcome { images: Vec::new(), failed };
    for (name, images) in names {
        let full = format!("{key}/{name}");
        let called = |tag: Option<&Tag>, digest| match tag {
            Some(tag) => format!("{full}:{tag}"),
            None => format!("{full}@{digest}"),
        };
        let at = match full.parse() {
            Ok(at) => at,
            Err(error) => {
                let error: oci::InvalidRepositoryName = error;
                let failed = images.iter().map(|(tag, entry)| called(tag.as_ref(), entry.descriptor.digest));
                outcome.failed.extend(failed.map(|image| (image, TransferError::usage(error.to_string()))));
                continue;
            }
        };
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
            let image = called(tag.as_ref(), entry.descriptor.digest);
            command.tally.begin(&image);
            match one(&transfer, tag, entry).await {
                Some(Ok(digest)) => outcome.images.push(Line { image, digest }),
                Some(Err(error)) => outcome.failed.push((image, error)),
                None => {}
            }
        }
    }
    outcome.failed.extend(unreadable(&source, &entries, args.name.as_deref()).await);
    Ok(outcome)
}

/// Moves one image; none when it has no tag and went along with another one.
async fn one(transfer: &Transfer<'_>, tag: Option<Tag>, entry: &Entry) -> Option<Result<Digest, TransferError>> {
    let digest = entry.descriptor.digest;
    let is_done = transfer.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest);
    if tag.is_none() && is_done {
        return None;
    }
    let media_type = Some(entry.descriptor.media_type.clone());
    Some(transfer.run(Wanted { reference: digest.into(), media_type, tag }).await.map(|_| digest))
}

/// What has no name goes with what it refers to; one that cannot be read does not say to what, and is missed by nobody else.
async fn unreadable(source: &Source, entries: &[Entry], given: Option<&str>) -> Vec<(String, TransferError)> {
    let mut failed = Vec::new();
    for entry in entries.iter().filter(|entry| given.is_none() && entry.full_name().is_none()) {
        let Descriptor { digest, media_type, .. } = &entry.descriptor;
        if let Err(error) = source.manifest(&(*digest).into(), Some(media_type)).await
            && error.reason != Reason::Other
        {
            failed.push((digest.to_string(), error));
        }
    }
    failed
}

/// Sorts the images by the names they belong to.
fn by_name<'f>(entries: &'f [Entry], given: Option<&str>) -> Result<Sorted<'f>, TransferError> {
    let mut sorted = Sorted::default();
    let mut taken: HashMap<(String, Tag), &Entry> = HashMap::new();
    for entry in entries {
        let (name, tag) = match (entry.full_name(), given) {
            (Some(called), _) => match place(called, given)? {
                Ok(place) => place,
                Err(error) => {
                    sorted.failed.push((called.to_owned(), error));
                    continue;
                }
            },
            // Without a name it is there for what it refers to, and goes with that; or somebody says where it belongs.
            (None, Some(given)) => (given.to_owned(), None),
            (None, None) => continue,
        };
        if let Some(tag) = &tag {
            let first = *taken.entry((name.clone(), tag.clone())).or_insert(entry);
            if first.descriptor.digest != entry.descriptor.digest {
                return Err(same_place(&format!("{name}:{tag}"), first, entry));
            }
            if !std::ptr::eq(first, entry) {
                continue;
            }
        }
        sorted.names.entry(name).or_default().push((tag, entry));
    }
    if sorted.names.is_empty() && sorted.failed.is_empty() {
        let what = "no image of it has a name; give one with --name, or push one with `transship push`";
        return Err(TransferError::usage(what));
    }
    for images in sorted.names.values_mut() {
        images.sort_by_key(|(tag, _)| tag.is_none());
    }
    Ok(sorted)
}

fn same_place(place: &str, first: &Entry, second: &Entry) -> TransferError {
    let label = |entry: &Entry| format!("'{}' ({})", entry.full_name().unwrap_or_default(), entry.descriptor.digest);
    TransferError::usage(format!(
        "{} and {} would both become {place}; push each to a name of its own with `transship push --oci-layout FILE:DIGEST`",
        label(first),
        label(second)
    ))
}

type Placed = Result<(String, Option<Tag>), TransferError>;

/// `team/app:v1`, `team/app@sha256:…`, `v1` beside `--name`, or any with a registry before it. A place that no image can have is
/// the image's own failure; one that is not said is that of the command.
fn place(called: &str, given: Option<&str>) -> Result<Placed, TransferError> {
    if let Some((name, _)) = called.split_once('@') {
        return Ok(Ok((without_host(name), None)));
    }
    let last = called.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match (called[last..].split_once(':'), given) {
        (Some((end, tag)), _) => (without_host(&format!("{}{end}", &called[..last])), tag),
        (None, Some(given)) => (given.to_owned(), called),
        (None, None) => {
            let what = format!("the image '{called}' has a tag and no name; say with --name where it belongs");
            return Err(TransferError::usage(what));
        }
    };
    let tag = tag.parse::<Tag>().map_err(|error| TransferError::usage(error.to_string()));
    Ok(tag.map(|tag| (name, Some(tag))))
}

fn without_host(name: &str) -> String {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest.to_owned(),
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use oci::MediaType;

    use super::*;

    #[test]
    fn an_image_goes_to_the_name_that_it_is_called_by() {
        let tag = |text: &str| Some(text.parse().unwrap());
        let place = |called: &str, given| place(called, given).map(Result::unwrap);
        assert_eq!(place("team/app:v1", None).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("app:v1", None).unwrap(), ("app".to_owned(), tag("v1")));
        assert_eq!(place("ghcr.io:443/team/app:v1", Some("x")).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("v1", Some("team/app")).unwrap(), ("team/app".to_owned(), tag("v1")));
        assert_eq!(place("team/app@sha256:0", None).unwrap(), ("team/app".to_owned(), None));
        assert!(place("v1", None).unwrap_err().what.contains("--name"));
    }

    #[test]
    fn two_images_never_share_a_place_and_a_bad_tag_is_its_own_failure() {
        let entry = |name: &str, seed: &[u8]| {
            Entry::new(&MediaType::OCI_IMAGE_MANIFEST, Digest::sha256_of(seed), 1, Some(name))
        };
        let entries = [entry("a.io/app:v1", b"a"), entry("b.io/app:v1", b"b")];
        let error = by_name(&entries, None).unwrap_err();
        assert!(error.what.contains("a.io/app:v1") && error.what.contains("b.io/app:v1"), "{error}");
        let entries = [entry("a.io/app:v1", b"a"), entry("app:v1", b"a"), entry("app:1.0+b1", b"b")];
        let sorted = by_name(&entries, None).unwrap();
        assert_eq!((sorted.names["app"].len(), sorted.failed[0].0.as_str()), (1, "app:1.0+b1"));
    }
}
