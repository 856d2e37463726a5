//! `transship export`: a hosted repository, or a name of it, into one layout.
//!
//! Must not know how a server stores. Invariants: an image is named `NAME:TAG`, what has no tag `NAME@DIGEST`, so that an
//! import knows what belongs where; one that fails does not stop the others, and keeps the export unfinished.

use std::collections::HashSet;
use std::sync::Mutex;

use image_archive::{Entry, REPOSITORY};
use oci::{Reference, RepoKey, RepositoryName, Tag};

use super::args::ExportArgs;
use super::copy::tags;
use super::error::{Reason, TransferError};
use super::image::{Moved, Referrers, Transfer, Wanted};
use super::place::Written;
use super::report::{Line, Outcome};
use super::sink::Sink;
use super::source::Source;
use super::{Address, Command, Place};

/// Most names of one repository.
const MAX_NAMES: usize = 1_000_000;

/// What is exported.
#[derive(Debug, PartialEq, Eq)]
struct What {
    key: RepoKey,
    name: Option<RepositoryName>,
    reference: Option<Reference>,
}

/// Exports.
pub(super) async fn run(args: &ExportArgs, command: &Command<'_>) -> Result<Outcome, TransferError> {
    let what = what(&args.what)?;
    let client = command.connect(&Place::Server).await?;
    let names = wanted(&client, &what).await?;
    let written = Written::layout(&args.to)?;
    let sink = Sink::Layout(written.writer.clone());
    let taken = taken(&written.entries()?, &what.key);
    let (mut outcome, mut entries) = (Outcome::default(), Vec::new());
    for name in &names {
        let full = format!("{}/{name}", what.key);
        let source = Source::Registry { client: client.clone(), name: read_name(&full)? };
        let transfer = Transfer {
            source: &source,
            sink: &sink,
            tally: &command.tally,
            parallel: command.parallel,
            referrers: Referrers::Along,
            platform: None,
            owner: None,
            done: Mutex::default(),
        };
        let references = match &what.reference {
            Some(reference) => vec![reference.clone()],
            None => tags(&source).await?.into_iter().map(Reference::from).collect(),
        };
        if let Err(error) = clash(&taken, &what, name, &references) {
            return Err(written.stop(error.of(args.to.display())));
        }
        let mut seen = HashSet::new();
        for reference in references {
            command.tally.begin(&format!("{full} {reference}"));
            let tag = reference.tag().cloned();
            match transfer.run(Wanted { reference: reference.clone(), media_type: None, tag }).await {
                Ok(moved) => {
                    for moved in moved.into_iter().filter(|moved| seen.insert((moved.digest, moved.tag.clone()))) {
                        let called = called(name, &moved);
                        let entry = Entry::new(&moved.media_type, moved.digest, moved.size, Some(&called));
                        entries.push(entry.with_annotation(REPOSITORY, &full));
                        outcome.images.push(Line { image: format!("{}/{called}", what.key), digest: moved.digest });
                    }
                }
                Err(error) => outcome.failed.push((format!("{full} {reference}"), error)),
            }
        }
    }
    if let Some((_, error)) = outcome.failed.first_mut() {
        *error = written.stop(error.clone());
        return Ok(outcome);
    }
    let names: HashSet<&str> = names.iter().map(RepositoryName::as_ref).collect();
    written.finish(entries, |old| goes(old, &what, &names), &[])?;
    Ok(outcome)
}

/// The names that are exported.
async fn wanted(client: &client::RegistryClient, what: &What) -> Result<Vec<RepositoryName>, TransferError> {
    let names = match &what.name {
        Some(name) => vec![name.clone()],
        None => names(client, &what.key).await?,
    };
    if names.is_empty() {
        let why = format!("the server has nothing in {}; is it a hosted repository?", what.key);
        return Err(TransferError::new(Reason::NotFound, why));
    }
    Ok(names)
}

/// An error when another repository has one of these tags in the layout.
fn clash(
    taken: &HashSet<String>,
    what: &What,
    name: &RepositoryName,
    references: &[Reference],
) -> Result<(), TransferError> {
    let mut tags = references.iter().filter_map(Reference::tag).map(|tag| format!("{name}:{tag}"));
    let Some(called) = tags.find(|called| taken.contains(called)) else { return Ok(()) };
    let what = format!("{called} of another repository is there already; export {} to a place of its own", what.key);
    Err(TransferError::usage(what))
}

/// Whether an entry of a former export makes way: what the server does not have any more is not kept.
fn goes(old: &Entry, what: &What, names: &HashSet<&str>) -> bool {
    let Some(name) = old.name().map(name_of).filter(|_| what.reference.is_none()) else { return false };
    match (key_of(old), &what.name) {
        (Some(key), None) => key == what.key.as_ref(),
        (Some(key), Some(only)) => key == what.key.as_ref() && name == only.as_ref(),
        // It does not say of which repository it is.
        (None, _) => names.contains(name),
    }
}

/// The repository of a server that an entry was taken from.
fn key_of(entry: &Entry) -> Option<&str> {
    entry.annotation(REPOSITORY)?.strip_suffix(name_of(entry.name()?))?.strip_suffix('/')
}

/// What other repositories have in the layout under a tag: a tag of this one must not replace it.
fn taken(entries: &[Entry], key: &RepoKey) -> HashSet<String> {
    let others = entries.iter().filter(|entry| key_of(entry).is_some_and(|other| other != key.as_ref()));
    others.filter_map(|entry| entry.name().map(str::to_owned)).collect()
}

fn called(name: &RepositoryName, moved: &Moved) -> String {
    let tagged = |tag: &Tag| format!("{name}:{tag}");
    moved.tag.as_ref().map_or_else(|| format!("{name}@{}", moved.digest), tagged)
}

fn name_of(called: &str) -> &str {
    called.split(['@', ':']).next().unwrap_or_default()
}

fn what(text: &str) -> Result<What, TransferError> {
    let wrong =
        |why: String| TransferError::usage(format!("'{text}' cannot be exported: {why}; write KEY[/NAME[:TAG]]"));
    let Some((key, _)) = text.split_once('/') else {
        return Ok(What {
            key: text.parse().map_err(|e: oci::InvalidRepoKey| wrong(e.to_string()))?,
            name: None,
            reference: None,
        });
    };
    let key: RepoKey = key.parse().map_err(|error: oci::InvalidRepoKey| wrong(error.to_string()))?;
    let Address { place, name, reference } = Address::read(text)?;
    match (place, name.as_ref().split_once('/')) {
        (Place::Server, Some((_, rest))) => {
            let name = rest.parse().map_err(|error: oci::InvalidRepositoryName| wrong(error.to_string()))?;
            Ok(What { key, name: Some(name), reference })
        }
        (Place::Server | Place::Registry(_), _) => Err(wrong("only repositories of the server can be".to_owned())),
    }
}

fn read_name(text: &str) -> Result<RepositoryName, TransferError> {
    text.parse().map_err(|error: oci::InvalidRepositoryName| TransferError::usage(error.to_string()))
}

/// The names in a repository of the server, without its key.
async fn names(client: &client::RegistryClient, key: &RepoKey) -> Result<Vec<RepositoryName>, TransferError> {
    let (mut names, mut last) = (Vec::new(), None::<String>);
    loop {
        let page = client.catalog(last.as_deref()).await?;
        for name in page.names {
            if let Some(("", rest)) = name.as_ref().split_once(key.as_ref())
                && let Some(rest) = rest.strip_prefix('/')
            {
                names.push(read_name(rest)?);
            }
        }
        if names.len() > MAX_NAMES {
            return Err(TransferError::usage(format!("{key} has more than {MAX_NAMES} names")));
        }
        match page.next_last {
            Some(next) => last = Some(next),
            None => return Ok(names),
        }
    }
}
