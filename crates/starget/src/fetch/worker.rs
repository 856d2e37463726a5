//! One worker: takes a piece, reads it, decodes its members, and gives what is in them to the sink.
//!
//! Must not know how pieces were made. Invariants: bytes are decoded as they come, a piece is never in memory; a chunk
//! whose bytes are wrong fails its file and nothing else; a piece that cannot be read fails all files it has chunks of.

use std::sync::Arc;

use bytes::Bytes;
use estargz::{ChunkDecoder, Fed};
use oci::ByteRange;

use super::Sink;
use super::pieces::{Part, Piece, Slot};
use super::pool::Shared;
use crate::error::StargetError;

/// Works until nothing is left.
pub(super) async fn run<S: Sink + 'static>(shared: Arc<Shared<S>>) {
    while let Some(piece) = shared.next_piece() {
        let slots = shared.plan.slots(piece);
        let mut reading = Reading { at: piece.range.start, slots, current: None, shared: &shared };
        if let Err(error) = read(&shared, piece, &mut reading).await {
            reading.abandon(error);
        }
    }
}

async fn read<S: Sink>(shared: &Shared<S>, piece: &Piece, reading: &mut Reading<'_, S>) -> Result<(), StargetError> {
    if nobody_waits(shared, piece) {
        return Ok(());
    }
    let source = shared.sources[piece.layer].clone();
    let mut reader = source.read(piece.range);
    while let Some(bytes) = reader.next().await? {
        if source.is_remote() {
            shared.progress.bytes(bytes.len() as u64);
        }
        // A piece of a body is worked on in less than a millisecond: moving to another thread costs more, and each
        // thread has memory of its own.
        reading.take(bytes);
    }
    reading.end();
    Ok(())
}

/// Whether all files of a piece have failed already.
fn nobody_waits<S: Sink>(shared: &Shared<S>, piece: &Piece) -> bool {
    shared.plan.slots(piece).iter().all(|slot| shared.is_failed(slot.part().job))
}

/// A piece on its way through the decoders.
struct Reading<'w, S: Sink> {
    /// Where in the layer the next byte stands.
    at: u64,
    /// Those after the current member.
    slots: &'w [Slot],
    /// Where the current member lies, and its chunks.
    current: Option<(ByteRange, Vec<Decoding<S::File>>)>,
    shared: &'w Shared<S>,
}

/// One chunk of the current member.
struct Decoding<F> {
    part: Part,
    decoder: ChunkDecoder,
    file: Arc<F>,
    /// Where in the file the next byte goes.
    offset: u64,
}

impl<S: Sink> Reading<'_, S> {
    /// Takes bytes that follow those before.
    fn take(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            if self.current.is_none() && !self.advance() {
                return;
            }
            let Some((range, decodings)) = &mut self.current else { return };
            if self.at < range.start {
                let gap = (range.start - self.at).min(bytes.len() as u64);
                self.at += gap;
                drop(bytes.split_to(gap as usize));
                continue;
            }
            let within = (range.end - self.at).min(bytes.len() as u64);
            let piece = bytes.split_to(within as usize);
            self.at += within;
            feed(self.shared, decodings, &piece);
            if self.at == range.end {
                self.end();
            }
        }
    }

    /// Begins the next member.
    fn advance(&mut self) -> bool {
        let Some(range) = self.slots.first().map(|slot| slot.range) else { return false };
        let (member, rest) = self.slots.split_at(self.slots.partition_point(|slot| slot.range == range));
        self.slots = rest;
        let decodings = member.iter().filter_map(|slot| begin(self.shared, slot.part())).collect();
        self.current = Some((range, decodings));
        true
    }

    /// All bytes of the current member have come.
    fn end(&mut self) {
        let Some((_, decodings)) = self.current.take() else { return };
        for Decoding { part, decoder, .. } in decodings {
            conclude(self.shared, part, decoder);
        }
    }

    /// The rest of the piece will not come.
    fn abandon(&mut self, error: StargetError) {
        let rest = self.current.take().map(|(_, decodings)| decodings).unwrap_or_default();
        let mut jobs: Vec<usize> = rest.iter().map(|one| one.part.job).collect();
        jobs.extend(self.slots.iter().map(|slot| slot.part().job));
        jobs.dedup();
        let (what, reason) = (crate::report::as_text(&error), error.reason());
        let mut first = Some(error);
        for job in jobs {
            let error = first.take().unwrap_or_else(|| StargetError::Shared { what: what.clone(), reason });
            self.shared.fail(job, error);
        }
    }
}

fn begin<S: Sink>(shared: &Shared<S>, part: Part) -> Option<Decoding<S::File>> {
    let file = shared.file(part.job)?;
    let job = &shared.jobs[part.job];
    let chunk = job.chunk(part.chunk)?;
    match job.layer.decoder(job.entry(), &chunk) {
        Ok(decoder) => Some(Decoding { part, decoder, file, offset: chunk.file_offset }),
        Err(error) => {
            shared.fail(part.job, broken(shared, part, error));
            None
        }
    }
}

/// Feeds all chunks of a member; one that is complete or wrong is done with.
fn feed<S: Sink>(shared: &Shared<S>, decodings: &mut Vec<Decoding<S::File>>, bytes: &[u8]) {
    let mut at = 0;
    while at < decodings.len() {
        let one = &mut decodings[at];
        let mut out = Placed { sink: &shared.sink, file: &one.file, offset: &mut one.offset };
        match one.decoder.feed(bytes, &mut out) {
            Ok(Fed::More) => at += 1,
            Ok(Fed::Done) => {
                let Decoding { part, decoder, .. } = decodings.swap_remove(at);
                conclude(shared, part, decoder);
            }
            Err(error) => {
                let part = decodings.swap_remove(at).part;
                shared.fail(part.job, broken(shared, part, error));
            }
        }
    }
}

fn conclude<S: Sink>(shared: &Shared<S>, part: Part, decoder: ChunkDecoder) {
    match decoder.finish() {
        Ok(()) => shared.chunk_done(part),
        Err(error) => shared.fail(part.job, broken(shared, part, error)),
    }
}

fn broken<S: Sink>(shared: &Shared<S>, part: Part, error: estargz::Error) -> StargetError {
    match error {
        estargz::Error::Io(source) => {
            StargetError::Io { doing: "write", path: shared.jobs[part.job].path().into(), source }
        }
        error => StargetError::Layer { layer: Box::new(shared.jobs[part.job].layer.digest()), source: Box::new(error) },
    }
}

/// Writes one after the other at the right place.
struct Placed<'w, S: Sink> {
    sink: &'w S,
    file: &'w S::File,
    offset: &'w mut u64,
}

impl<S: Sink> std::io::Write for Placed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sink.write(self.file, *self.offset, bytes)?;
        *self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
