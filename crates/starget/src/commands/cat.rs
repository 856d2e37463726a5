//! `starget cat`: the content of files, to standard output.
//!
//! Must not write anywhere else. Invariants: bytes of a chunk go out only after the chunk matched its digest; links are
//! followed, inside of the image.

use estargz::{Chunk, EntryKind, Fed, Node};

use crate::error::StargetError;
use crate::fetch::Job;
use crate::image::Target;
use crate::layers::{LayerSource, Layers};
use crate::output::Output;
use crate::select::{LastLink, Selection};
use crate::session::Session;

/// Largest chunk that is kept back until it is proven; larger ones go out as they come, and the exit code tells.
const LARGEST_KEPT: u64 = 16 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  starget cat ghcr.io/org/app:1.2-esgz etc/os-release
  starget cat ghcr.io/org/app:1.2-esgz 'etc/apt/sources.list.d/*' | less";

/// What is typed after `starget cat`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CatArgs {
    /// The image
    image: String,
    /// A layer's digest to read from that layer alone, and paths or patterns
    #[arg(value_name = "[BLOB] PATH...", required = true)]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &CatArgs) -> Result<(), StargetError> {
    let target = Target::read(&args.words).map_err(StargetError::Usage)?;
    if target.words.is_empty() {
        return Err(StargetError::Usage("a path is missing".to_owned()));
    }
    let paths: Vec<&str> = target.words.iter().map(String::as_str).collect();
    let layers = Layers::open_for(session, &args.image, target.layer.as_ref(), (&paths, LastLink::Followed)).await?;
    // All paths are found before anything is written.
    let mut jobs = Vec::new();
    for pattern in &target.words {
        jobs.extend(files(&layers, &args.image, pattern)?);
    }
    let mut output = Output::open();
    for job in &jobs {
        write_file(&mut output, job, &layers.source(&job.layer)).await?;
    }
    output.finish()?;
    session.say_stats(layers.whole);
    Ok(())
}

/// The files that are meant; a directory is none.
pub(super) fn files(layers: &Layers, image: &str, pattern: &str) -> Result<Vec<Job>, StargetError> {
    let nodes = match Selection::of(&layers.tree, image, pattern, LastLink::Followed)? {
        Selection::One(node) => vec![node],
        Selection::Matches(nodes) => nodes.into_iter().filter(|node| is_file(*node)).collect(),
        Selection::Everything | Selection::Directory(_) => Vec::new(),
    };
    if nodes.is_empty() {
        return Err(StargetError::Usage(format!("{pattern} is no file; `starget get` takes directories")));
    }
    nodes.into_iter().map(|node| job(layers, node)).collect()
}

/// Whether there is content.
fn is_file(node: Node<'_>) -> bool {
    node.content().is_ok_and(|(_, entry)| entry.kind() == EntryKind::File)
}

fn job(layers: &Layers, node: Node<'_>) -> Result<Job, StargetError> {
    let broken = |source| StargetError::Layer { layer: Box::new(node.layer().digest()), source: Box::new(source) };
    let (layer, entry) = node.content().map_err(broken)?;
    Job::of(node.path(), layer, layers.index_of(layer), entry)
}

/// Writes one file in order, with one request for each run of chunks that lie side by side.
pub(super) async fn write_file(output: &mut Output, job: &Job, source: &LayerSource) -> Result<(), StargetError> {
    let mut check = job.layer.file_check(job.entry());
    let chunks: Vec<Chunk> = job.chunks().collect();
    for run in chunks.chunk_by(are_adjacent) {
        write_run(output, job, run, source, &mut check).await?;
    }
    let proven = if job.is_proven_by_chunks() { Ok(()) } else { check.finish() };
    proven.map_err(|error| broken(job, error))
}

/// Whether two chunks lie side by side.
fn are_adjacent(one: &Chunk, next: &Chunk) -> bool {
    match (one.range(), next.range()) {
        (Some(one), Some(next)) => one.end == next.start,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

async fn write_run(
    output: &mut Output,
    job: &Job,
    chunks: &[Chunk],
    source: &LayerSource,
    check: &mut estargz::FileCheck,
) -> Result<(), StargetError> {
    let both = chunks.first().and_then(Chunk::range).zip(chunks.last().and_then(Chunk::range));
    let mut reader = both.map(|(first, last)| source.read(oci::ByteRange { start: first.start, end: last.end }));
    let mut rest = bytes::Bytes::new();
    for chunk in chunks {
        let mut decoder = job.layer.decoder(job.entry(), chunk).map_err(|error| broken(job, error))?;
        let mut payload = Payload { kept: Vec::new(), keeps: chunk.size <= LARGEST_KEPT, output, check };
        let mut left = chunk.range().map_or(0, |range| range.len());
        if chunk.range().is_none() {
            decoder.feed(&[], &mut payload).map_err(|error| broken(job, error))?;
        }
        let mut fed = Fed::More;
        while left > 0 {
            if rest.is_empty() {
                let Some(reader) = &mut reader else { break };
                let Some(piece) = reader.next().await? else { break };
                rest = piece;
            }
            let piece = rest.split_to(rest.len().min(left as usize));
            left -= piece.len() as u64;
            if fed == Fed::More {
                fed = decoder.feed(&piece, &mut payload).map_err(|error| broken(job, error))?;
            }
        }
        decoder.finish().map_err(|error| broken(job, error))?;
        payload.release()?;
    }
    Ok(())
}

fn broken(job: &Job, error: estargz::Error) -> StargetError {
    match error {
        estargz::Error::Io(source) => StargetError::Stream { doing: "write to standard output", source },
        error => StargetError::Layer { layer: Box::new(job.layer.digest()), source: Box::new(error) },
    }
}

/// The payload of one chunk on its way out.
struct Payload<'o> {
    kept: Vec<u8>,
    keeps: bool,
    output: &'o mut Output,
    check: &'o mut estargz::FileCheck,
}

impl Payload<'_> {
    /// The chunk is proven.
    fn release(self) -> Result<(), StargetError> {
        self.output.bytes(&self.kept)
    }
}

impl std::io::Write for Payload<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.check.update(bytes);
        if self.keeps {
            self.kept.extend_from_slice(bytes);
        } else {
            self.output.raw().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
