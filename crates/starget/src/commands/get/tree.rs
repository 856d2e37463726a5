//! A download into a folder: what an earlier run left, the files, then links and the attributes of directories.
//!
//! Must not know layers' formats. Invariant: the journal is removed only when everything is there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use oci::Digest;

use super::conclude;
use crate::error::StargetError;
use crate::extract::{Files, Folder, Partials, Preserve, Root, Shape, finish};
use crate::fetch::{Outcome, Part, Work, fetch, plan};
use crate::layers::Layers;
use crate::output::{Output, note};
use crate::progress::Progress;
use crate::resume::{Found, Header, Journal, look};
use crate::session::Session;

/// Where a download goes, and what it is called.
pub(super) struct Destination {
    pub(super) layer: Option<Digest>,
    pub(super) pattern: String,
    pub(super) folder: PathBuf,
    pub(super) preserve: Preserve,
}

/// Downloads.
pub(super) async fn download(
    session: &Session,
    layers: Layers,
    shape: Shape,
    to: &Destination,
) -> Result<(), StargetError> {
    let folder = Folder::open(&to.folder)?;
    let Shape { directories, jobs, special, mut failed, .. } = shape;
    let total = jobs.len() + special.len() + failed.len();
    let partials = Partials::new(&jobs);
    let (journal, left) = Journal::open(&session.settings.state_dir, &header(to, &layers, &jobs)?)?;
    // What an earlier run of this download made is this run's too.
    let root = if folder.is_made() || left.made_folder { Root::AsTheImage } else { Root::AsItIs };
    if folder.is_made() {
        journal.made_folder()?;
    }
    let found = tokio::task::block_in_place(|| look(&folder, &jobs, &partials, &left));
    if found.bytes > 0 {
        note(&format!("{} bytes are there from an earlier run and right", found.bytes));
    }
    let jobs = Arc::new(jobs);
    let files = Files { folder, jobs: jobs.clone(), preserve: to.preserve, journal, partials };
    let (files, outcome) = run(session, &layers, jobs.clone(), files, found).await;
    failed.extend(outcome.failed.into_iter().map(|(job, error)| (jobs[job].path().to_owned(), error)));
    let (special, orphans) = not_failed(special, &failed);
    let finished = tokio::task::block_in_place(|| finish(&files.folder, &special, &directories, root, to.preserve));
    failed.extend(orphans);
    failed.extend(finished.failed);
    if finished.devices_left_out > 0 {
        note(&left_out(finished.devices_left_out));
    }
    let nothing_came = outcome.done == 0 && !files.journal.has_some();
    if failed.is_empty() || (nothing_came && files.folder.unmake(&to.folder)) {
        files.journal.remove()?;
    }
    let (done, all) = (outcome.done + finished.made, total - finished.devices_left_out);
    say(session, done, all, outcome.bytes)?;
    session.say_stats(layers.whole);
    conclude(failed, all)
}

fn left_out(devices: usize) -> String {
    match devices {
        1 => "1 device was left out; --devices makes it".to_owned(),
        many => format!("{many} devices were left out; --devices makes them"),
    }
}

type Special = (String, crate::extract::Special, crate::extract::Attributes);

/// Hard links to files that failed fail too.
fn not_failed(special: Vec<Special>, failed: &[(String, StargetError)]) -> (Vec<Special>, Vec<(String, StargetError)>) {
    let missing: HashSet<&str> = failed.iter().map(|(path, _)| path.as_str()).collect();
    let (mut kept, mut broken) = (Vec::with_capacity(special.len()), Vec::new());
    for one in special {
        match &one.1 {
            crate::extract::Special::Hardlink(first) if missing.contains(first.as_str()) => {
                let reason = crate::error::ExitReason::SomeFailed;
                let what = format!("the file it is another name of, {first}, failed");
                broken.push((one.0, StargetError::Shared { what, reason }));
            }
            _ => kept.push(one),
        }
    }
    (kept, broken)
}

async fn run(
    session: &Session,
    layers: &Layers,
    jobs: Arc<Vec<crate::fetch::Job>>,
    files: Files,
    found: Found,
) -> (Files, Outcome) {
    let Found { finished, chunks, .. } = found;
    let is_there = |part: Part| chunks.get(&part.job).is_some_and(|chunks| chunks.contains(&part.chunk));
    let plan = plan(&jobs, |part| !finished[part.job] && !is_there(part));
    for job in chunks.keys() {
        files.journal.keep(*job);
    }
    let progress = Progress::new(session.settings.progress, plan.bytes(), jobs.len());
    let present = chunks.iter().map(|(job, chunks)| (*job, chunks.len())).collect();
    let work = Work { jobs, plan, present, finished, sources: layers.sources() };
    let done = fetch(work, files, session.settings.concurrency.get(), progress.clone()).await;
    progress.end();
    done
}

fn header(to: &Destination, layers: &Layers, jobs: &[crate::fetch::Job]) -> Result<Header, StargetError> {
    let out = to.folder.canonicalize().map_err(|source| StargetError::Io {
        doing: "find",
        path: to.folder.clone(),
        source,
    })?;
    // One file under a name of its own is another download than the same in another place.
    let out = match jobs {
        [only] => out.join(only.path()),
        _ => out,
    };
    let (image, manifest) = (layers.image.reference.to_string(), layers.image.digest);
    Ok(Header::new(image, manifest, to.layer, to.pattern.clone(), out, jobs.len()))
}

fn say(session: &Session, done: usize, all: usize, bytes: u64) -> Result<(), StargetError> {
    let mut output = Output::open();
    if session.settings.json {
        output.json(&serde_json::json!({"downloaded": done, "total": all, "bytes": bytes}))?;
    } else {
        output.line(&format!("Successfully downloaded {done}/{all} files ({bytes} bytes total)"))?;
    }
    output.finish()
}
