//! `starget verify`: reads content and compares it with its digests.
//!
//! Must not keep anything. Invariant: a file counts as right only when all of it was read and matched.

use std::collections::HashMap;
use std::sync::Arc;

use oci::Digest;

use crate::error::StargetError;
use crate::extract::Shape;
use crate::fetch::{Job, Sink, Work, fetch, plan};
use crate::layers::Layers;
use crate::output::Output;
use crate::progress::Progress;
use crate::select::{LastLink, Selection};
use crate::session::Session;
use crate::settings::Verify;

use super::ls::target;

const EXAMPLES: &str = "\
Examples:
  starget verify ghcr.io/org/app:1.2-esgz
  starget verify ghcr.io/org/app:1.2-esgz usr/lib/";

/// What is typed after `starget verify`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// The image
    image: String,
    /// A layer's digest to verify that layer alone, and a path or pattern [default: everything]
    #[arg(value_name = "[BLOB] [PATTERN]")]
    words: Vec<String>,
}

/// Compares, and keeps nothing.
struct Compare(Arc<Vec<Job>>);

impl Sink for Compare {
    type File = ();

    fn open(&self, _: usize) -> Result<(), StargetError> {
        Ok(())
    }

    fn write(&self, (): &(), _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn chunk_done(&self, _: usize, _: usize) -> Result<(), StargetError> {
        Ok(())
    }

    fn file_done(&self, job: usize, (): &()) -> Result<(), StargetError> {
        let job = &self.0[job];
        if job.is_proven_by_chunks() {
            return Ok(());
        }
        let path = job.path().to_owned();
        let source = Box::new(estargz::Error::Unverifiable { path });
        Err(StargetError::Layer { layer: Box::new(job.layer.digest()), source })
    }

    fn file_failed(&self, _: usize, _: Option<&()>) {}
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &VerifyArgs) -> Result<(), StargetError> {
    if session.settings.verify == Verify::Nothing {
        return Err(StargetError::Usage("verify cannot be told to --skip-verify".to_owned()));
    }
    let (only, pattern) = target(&args.words)?;
    let layers = Layers::open(session, &args.image, only.as_ref()).await?;
    unproven_layers(&layers)?;
    let selection = Selection::of(&layers.tree, &args.image, &pattern, LastLink::Followed)?;
    let Shape { jobs, mut failed, .. } = Shape::of(&layers, &selection.with_content(&layers.tree));
    let jobs = Arc::new(jobs);
    let plan = plan(&jobs, |_| true);
    let progress = Progress::new(session.settings.progress, plan.bytes(), jobs.len());
    let work = Work {
        plan,
        present: HashMap::new(),
        finished: vec![false; jobs.len()],
        sources: layers.sources(),
        jobs: jobs.clone(),
    };
    let (_, outcome) = fetch(work, Compare(jobs.clone()), session.settings.concurrency.get(), progress.clone()).await;
    progress.end();
    failed.extend(outcome.failed.into_iter().map(|(job, error)| (jobs[job].path().to_owned(), error)));
    let mut output = Output::open();
    output.line(&format!("Verified {}/{} files ({} bytes total)", outcome.done, jobs.len(), outcome.bytes))?;
    output.finish()?;
    session.say_stats(layers.whole);
    super::get::conclude(failed, jobs.len())
}

/// A layer whose table no digest proves cannot be verified.
fn unproven_layers(layers: &Layers) -> Result<(), StargetError> {
    let unproven = layers.tree.layers().iter().find(|layer| layer.trust() != estargz::Trust::Verified);
    let error = |layer: Digest| StargetError::Layer {
        layer: Box::new(layer),
        source: Box::new(estargz::Error::NoTocDigest { layer }),
    };
    unproven.map_or(Ok(()), |layer| Err(error(layer.digest())))
}
