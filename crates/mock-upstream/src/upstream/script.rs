//! The faults of one request folded into one script.
//!
//! Must not know: sockets, answers. Invariant: the only place that matches on `Fault`; an empty script changes
//! nothing. Of faults that exclude each other the later one wins.

use std::time::Duration;

use bytes::Bytes;

use super::fault::{Cut, DigestHeader, Fault, Location};
use super::gate::Gate;

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length` is the true length plus this.
    Length(i64),
    /// Chunked transfer coding, ended properly.
    Chunked,
    /// Chunked transfer coding that just stops.
    ChunkedUnended,
    /// By the end of the connection.
    Close,
}

/// What interrupts the delivery of a body.
#[derive(Clone, Debug)]
pub(crate) enum Interruption {
    Cut(Cut),
    Stall(Gate),
    Pause(Duration),
}

/// Where in the body an interruption happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Bytes(u64),
    Fraction(f64),
}

/// The pieces a body is sent in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) piece: usize,
    pub(crate) pause: Duration,
}

impl Pace {
    const FULL_SPEED: Self = Self { piece: 256 * 1024, pause: Duration::ZERO };
}

/// What is answered instead.
#[derive(Clone, Debug)]
pub(crate) enum Replacement {
    Reply(u16, Vec<(String, String)>, Bytes),
    Redirect(u16, Location),
}

/// One change of the header lines.
#[derive(Clone, Debug)]
pub(crate) enum HeaderEdit {
    Set(&'static str, String),
    Add(String, String),
    Remove(String),
}

/// How a range is misread or misreported.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeScript {
    pub(crate) ignore: bool,
    pub(crate) refuse_several: bool,
    pub(crate) shift_start: i64,
    pub(crate) shift_end: i64,
    pub(crate) lie_start: i64,
    pub(crate) lie_total: Option<u64>,
    pub(crate) content_range_on_200: bool,
}

/// Everything that goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) holds: Vec<Gate>,
    pub(crate) delay: Duration,
    pub(crate) hang_up: Option<Cut>,
    pub(crate) replacement: Option<Replacement>,
    pub(crate) body: Option<(Bytes, Option<String>)>,
    pub(crate) gzip: bool,
    pub(crate) expire_after: Option<usize>,
    pub(crate) range: RangeScript,
    pub(crate) headers: Vec<HeaderEdit>,
    pub(crate) framing: Framing,
    pub(crate) surplus: u64,
    pub(crate) flips: Vec<u64>,
    pub(crate) interruptions: Vec<(Place, Interruption)>,
    pub(crate) pace: Pace,
}

impl Script {
    /// Folds the faults in the order they were added.
    pub(crate) fn fold(faults: Vec<Fault>) -> Self {
        let mut script = Self {
            holds: Vec::new(),
            delay: Duration::ZERO,
            hang_up: None,
            replacement: None,
            body: None,
            gzip: false,
            expire_after: None,
            range: RangeScript::default(),
            headers: Vec::new(),
            framing: Framing::Length(0),
            surplus: 0,
            flips: Vec::new(),
            interruptions: Vec::new(),
            pace: Pace::FULL_SPEED,
        };
        for fault in faults {
            script.add(fault);
        }
        script
    }

    fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Hold(gate) => self.holds.push(gate),
            Fault::DelayFirstByte(delay) => self.delay = delay,
            Fault::HangUp(cut) => self.hang_up = Some(cut),
            Fault::CutAfter(at, cut) => self.interrupt(Place::Bytes(at), Interruption::Cut(cut)),
            Fault::CutAtFraction(at, cut) => self.interrupt(Place::Fraction(at), Interruption::Cut(cut)),
            Fault::StallAfter(at, gate) => self.interrupt(Place::Bytes(at), Interruption::Stall(gate)),
            Fault::PauseAfter(at, pause) => self.interrupt(Place::Bytes(at), Interruption::Pause(pause)),
            Fault::Bandwidth(per_second) => self.pace = pieces(per_second / 20, Duration::from_millis(50)),
            Fault::Drip(piece, pause) => self.pace = pieces(piece, pause),
            Fault::FlipByte(offset) => self.flips.push(offset),
            Fault::OverstateLength(by) => self.framing = Framing::Length(by.cast_signed()),
            Fault::UnderstateLength(by) => self.framing = Framing::Length(-by.cast_signed()),
            Fault::Surplus(bytes) => self.surplus = bytes,
            Fault::NoLength => self.framing = Framing::Chunked,
            Fault::NoFinalChunk => self.framing = Framing::ChunkedUnended,
            Fault::CloseDelimited => self.framing = Framing::Close,
            Fault::IgnoreRange => self.range.ignore = true,
            Fault::RefuseMultiRange => self.range.refuse_several = true,
            Fault::ShiftRangeStart(by) => self.range.shift_start = by,
            Fault::ShiftRangeEnd(by) => self.range.shift_end = by,
            Fault::LieAboutRangeStart(by) => self.range.lie_start = by,
            Fault::LieAboutRangeTotal(total) => self.range.lie_total = Some(total),
            Fault::ContentRangeOn200 => self.range.content_range_on_200 = true,
            Fault::ContentDigest(DigestHeader::Missing) => self.headers.push(HeaderEdit::Remove(CONTENT_DIGEST.into())),
            Fault::ContentDigest(DigestHeader::Says(value)) => {
                self.headers.push(HeaderEdit::Set(CONTENT_DIGEST, value));
            }
            Fault::ReplaceBody(bytes, media_type) => self.body = Some((bytes, media_type)),
            Fault::ContentEncodingGzip => self.gzip = true,
            Fault::Reply(status, headers, body) => self.replacement = Some(Replacement::Reply(status, headers, body)),
            Fault::Redirect(status, place) => self.replacement = Some(Replacement::Redirect(status, place)),
            Fault::ExpireAfter(uses) => self.expire_after = Some(uses),
            Fault::AddHeader(name, value) => self.headers.push(HeaderEdit::Add(name, value)),
            Fault::RemoveHeader(name) => self.headers.push(HeaderEdit::Remove(name)),
        }
    }

    fn interrupt(&mut self, place: Place, interruption: Interruption) {
        self.interruptions.push((place, interruption));
    }
}

const CONTENT_DIGEST: &str = "Docker-Content-Digest";

fn pieces(piece: u64, pause: Duration) -> Pace {
    Pace { piece: piece.max(1) as usize, pause }
}
