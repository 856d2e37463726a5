//! Opening a layer: which bytes of its blob are needed to know what is in it, in as few requests as possible.
//!
//! Must not fetch. Invariant: zstd:chunked with annotations takes one request, everything else one when the guess of the tail
//! holds the table and two when not; no request goes past the blob, and none is for more than a table may have.

use oci::ByteRange;

use crate::error::Error;
use crate::footer::{Footer, GZIP_FOOTER_MAX, ZSTD_FOOTER_MAX, read_footer};
use crate::format::{Compression, LayerFormat, NotLazy};
use crate::hints::LayerHints;
use crate::layer::OpenLayer;
use crate::limits::{TAIL_GUESS_MAX, TAIL_GUESS_MIN, TAIL_GUESS_PER_MILLE};
use crate::raw_toc::RawToc;
use crate::verification::Verification;

/// Opens one layer, step by step.
///
/// ```no_run
/// # use estargz::{Error, LayerHints, LayerOpener, Opened, Progress, Verification};
/// # fn fetch(range: oci::ByteRange) -> Vec<u8> { Vec::new() }
/// # fn open(hints: LayerHints) -> Result<Opened, Error> {
/// let mut opener = LayerOpener::new(hints, Verification::Required);
/// loop {
///     match opener.advance()? {
///         Progress::Need(range) => opener.supply(fetch(range))?,
///         Progress::Ready(opened) => return Ok(*opened),
///         Progress::NotLazy(reason) => return Err(opener.not_lazy(reason)),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct LayerOpener {
    hints: LayerHints,
    verification: Verification,
    state: State,
}

/// What comes next.
#[derive(Debug)]
pub enum Progress {
    /// Fetch these bytes of the blob and [`LayerOpener::supply`] them.
    Need(ByteRange),
    /// The layer is open. Told once; after that the opener only repeats that the layer was taken, as an error.
    Ready(Box<Opened>),
    /// The layer cannot be read lazily. For [`NotLazy::ExternalTocMissing`],
    /// [`LayerOpener::supply_external_toc`] goes on.
    NotLazy(NotLazy),
}

/// An open layer, with its table as it was fetched.
#[derive(Debug)]
pub struct Opened {
    /// The layer.
    pub layer: OpenLayer,
    /// Its table, to keep in a cache.
    pub raw: RawToc,
}

#[derive(Debug)]
enum State {
    /// Waits for the position's range of a zstd:chunked layer.
    Position {
        range: ByteRange,
        raw: RawToc,
    },
    /// Waits for the last bytes of the blob.
    Tail {
        range: ByteRange,
    },
    /// Waits for the part of the table that is before the tail.
    Rest {
        range: ByteRange,
        footer: Footer,
        toc: ByteRange,
        tail: Vec<u8>,
    },
    /// Has the table.
    Fetched(RawToc),
    NotLazy {
        reason: NotLazy,
        external: Option<Footer>,
    },
    Taken,
}

impl LayerOpener {
    /// Starts to open the layer that `hints` describes.
    pub fn new(hints: LayerHints, verification: Verification) -> Self {
        let state = start(&hints);
        Self { hints, verification, state }
    }

    /// Asks for this many bytes of the blob's end at first, instead of a guess at where the table begins; at least a footer.
    /// With no more than that, not one byte is fetched that is not needed, at the price of a second request.
    #[must_use]
    pub fn with_tail(mut self, length: u64) -> Self {
        let footer = match self.hints.compression() {
            Ok(Compression::Zstd) => ZSTD_FOOTER_MAX,
            Ok(Compression::Gzip | Compression::Stored) | Err(_) => GZIP_FOOTER_MAX,
        };
        let length = length.max(footer).min(self.hints.size);
        if let State::Tail { range } = &mut self.state {
            range.start = self.hints.size - length;
        }
        self
    }

    /// What the manifest says of the layer.
    pub fn hints(&self) -> &LayerHints {
        &self.hints
    }

    /// What comes next; the same until something is supplied.
    ///
    /// # Errors
    /// Those of reading and verifying the table, which is done when it is all there: this is the call that takes time.
    pub fn advance(&mut self) -> Result<Progress, Error> {
        match &self.state {
            State::Position { range, .. } | State::Tail { range } | State::Rest { range, .. } => {
                Ok(Progress::Need(*range))
            }
            State::NotLazy { reason, .. } => Ok(Progress::NotLazy(reason.clone())),
            State::Fetched(_) | State::Taken => self.open(),
        }
    }

    /// Takes the bytes that [`Progress::Need`] asked for, all of them.
    ///
    /// # Errors
    /// [`Error::WrongLength`] when they are more or fewer, or none were asked for; [`Error::Footer`] and [`Error::TocLimit`] when
    /// the footer says something that cannot be or is too much.
    pub fn supply(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let expected = match &self.state {
            State::Position { range, .. } | State::Tail { range } | State::Rest { range, .. } => range.len(),
            State::Fetched(_) | State::NotLazy { .. } | State::Taken => 0,
        };
        if expected != bytes.len() as u64 || expected == 0 {
            return Err(Error::WrongLength { expected, found: bytes.len() as u64 });
        }
        self.state = match std::mem::replace(&mut self.state, State::Taken) {
            State::Position { mut raw, .. } => {
                raw.bytes = bytes;
                State::Fetched(raw)
            }
            State::Tail { range } => self.read_tail(range, bytes)?,
            State::Rest { footer, toc, tail, .. } => State::Fetched(self.raw(footer, join(bytes, &tail, toc))),
            other @ (State::Fetched(_) | State::NotLazy { .. } | State::Taken) => other,
        };
        Ok(())
    }

    /// Gives the table of a layer with an external one: the blob of the layer in the TOC image that is annotated with this
    /// layer's digest. It is verified like any other.
    ///
    /// # Errors
    /// [`Error::WrongLength`] when the opener does not wait for one.
    pub fn supply_external_toc(&mut self, blob: Vec<u8>) -> Result<(), Error> {
        let State::NotLazy { external: Some(footer), .. } = self.state else {
            return Err(Error::WrongLength { expected: 0, found: blob.len() as u64 });
        };
        self.state = State::Fetched(self.raw(footer, blob));
        Ok(())
    }

    /// Opens a layer with a table kept from earlier: no bytes of the blob are needed.
    ///
    /// # Errors
    /// [`Error::RawToc`] when it is of a blob of another size, and those of verifying it again.
    pub fn reopen(hints: LayerHints, verification: Verification, raw: &RawToc) -> Result<OpenLayer, Error> {
        if raw.blob_size != hints.size {
            return Err(Error::RawToc { reason: "it is of a blob of another size" });
        }
        OpenLayer::read(hints, verification, raw)
    }

    /// [`NotLazy`] as an error about this layer, for callers that can do nothing else.
    pub fn not_lazy(&self, reason: NotLazy) -> Error {
        Error::NotLazy { layer: self.hints.digest, reason }
    }

    fn open(&mut self) -> Result<Progress, Error> {
        let State::Fetched(raw) = std::mem::replace(&mut self.state, State::Taken) else {
            return Err(Error::WrongLength { expected: 0, found: 0 });
        };
        let layer = OpenLayer::read(self.hints.clone(), self.verification, &raw)?;
        Ok(Progress::Ready(Box::new(Opened { layer, raw })))
    }

    fn read_tail(&self, range: ByteRange, tail: Vec<u8>) -> Result<State, Error> {
        let Some(footer) = read_footer(&tail, self.hints.size)? else {
            let reason = if self.hints.is_annotated() { NotLazy::FooterLost } else { NotLazy::NoFooter };
            return Ok(State::NotLazy { reason, external: None });
        };
        let Some(toc) = footer.toc else {
            return Ok(State::NotLazy { reason: NotLazy::ExternalTocMissing, external: Some(footer) });
        };
        match ByteRange::new(toc.start, range.start.min(toc.end)) {
            Some(rest) => Ok(State::Rest { range: rest, footer, toc, tail }),
            None => Ok(State::Fetched(self.raw(footer, cut(tail, toc.start - range.start, toc)))),
        }
    }

    fn raw(&self, footer: Footer, bytes: Vec<u8>) -> RawToc {
        RawToc {
            format: footer.format,
            blob_size: self.hints.size,
            data_end: footer.data_end,
            raw_len: footer.raw_len.unwrap_or_default(),
            bytes,
        }
    }
}

fn start(hints: &LayerHints) -> State {
    if let Err(reason) = hints.compression() {
        return State::NotLazy { reason, external: None };
    }
    if let Some(position) = hints.toc_position {
        let raw = RawToc {
            format: LayerFormat::ZstdChunked(position.dialect),
            blob_size: hints.size,
            data_end: position.data_end,
            raw_len: position.raw_len,
            bytes: Vec::new(),
        };
        return State::Position { range: position.range, raw };
    }
    let share = hints.size.saturating_mul(TAIL_GUESS_PER_MILLE) / 1000;
    let length = share.clamp(TAIL_GUESS_MIN, TAIL_GUESS_MAX).min(hints.size);
    match ByteRange::new(hints.size - length, hints.size) {
        Some(range) => State::Tail { range },
        None => State::NotLazy { reason: NotLazy::NoFooter, external: None },
    }
}

/// The table: from `skip` on in the tail, for its length.
fn cut(mut tail: Vec<u8>, skip: u64, toc: ByteRange) -> Vec<u8> {
    tail.drain(..tail.len().min(skip as usize));
    tail.truncate(toc.len() as usize);
    tail
}

/// The table: `head`, which was fetched second, and the rest of it from the front of the tail.
fn join(mut head: Vec<u8>, tail: &[u8], toc: ByteRange) -> Vec<u8> {
    let rest = (toc.len() as usize).saturating_sub(head.len()).min(tail.len());
    head.reserve_exact(rest);
    head.extend_from_slice(&tail[..rest]);
    head
}
