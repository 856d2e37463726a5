//! `transship export`: a hosted repository, or a name of it, into one layout.
//!
//! Must not know how a server stores. Invariants: an image is named `NAME:TAG`, what has no tag `NAME@DIGEST`, so that an
//! import knows what belongs where; one that fails does not stop the others, and keeps the export unfinished.

use std::collections::HashSet;
use std::sync::Mutex;

use image_archive::Entry;
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
    let names = match &what.name {
        Some(name) => vec![name.clone()],
        None => names(&client, &what.key).await?,
    };
    if names.is_empty() {
        let why = format!("the server has nothing in {}; is it a hosted repository?", what.key);
        return Err(TransferError::new(Reason::NotFound, why));
    }
    let written = Written::layout(&args.to)?;
    let sink = Sink::Layout(written.writer.clone());
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
        let mut seen = HashSet::new();
        for reference in references {
            command.tally.begin(&format!("{full} {reference}"));
            let tag = reference.tag().cloned();
            match transfer.run(Wanted { reference: reference.clone(), media_type: None, tag }).await {
                Ok(moved) => {
                    for moved in moved.into_iter().filter(|moved| seen.insert((moved.digest, moved.tag.clone()))) {
                        let called = called(name, &moved);
                        entries.push(Entry::new(&moved.media_type, moved.digest, moved.size, Some(&called)));
                        outcome.images.push(Line { image: format!("{}/{called}", what.key), digest: moved.digest });
                    }
                }
                Err(error) => outcome.failed.push((format!("{full} {reference}"), error)),
            }
        }
    }
    if outcome.failed.is_empty() {
        // Tags that the server does not have any more are not kept from a former export.
        let whole: HashSet<&str> =
            names.iter().filter(|_| what.reference.is_none()).map(RepositoryName::as_ref).collect();
        written.finish(entries, |old| old.name().is_some_and(|old| whole.contains(name_of(old))), &[])?;
    }
    Ok(outcome)
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
