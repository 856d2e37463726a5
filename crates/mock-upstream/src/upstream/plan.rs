//! The answer of a correct registry, bent by a script: everything `delivery` needs to send it.
//!
//! Must not know: sockets. Invariant: with an empty script the plan is the answer of `routes`, ranges served.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::answer::{Answer, Asked, asked_range};
use super::fault::Location;
use super::request_log::Entry;
use super::script::{Framing, HeaderEdit, Interruption, Pace, Place, RangeScript, Replacement, Script};
use super::state::State;
use super::target::OWN_DOWNLOADS;

/// An answer with the way it is sent. Offsets count bytes of this body.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) answer: Answer,
    pub(crate) framing: Framing,
    /// Filler bytes after the body; `u64::MAX` never ends.
    pub(crate) surplus: u64,
    /// Offsets whose byte is inverted.
    pub(crate) flips: Vec<u64>,
    /// Sorted by offset.
    pub(crate) interruptions: Vec<(u64, Interruption)>,
    pub(crate) pace: Pace,
}

impl Plan {
    /// An answer sent as it is.
    pub(crate) fn plain(answer: Answer) -> Self {
        let script = Script::fold(Vec::new());
        Self {
            answer,
            framing: script.framing,
            surplus: 0,
            flips: Vec::new(),
            interruptions: Vec::new(),
            pace: script.pace,
        }
    }

    /// Works the script into the answer of a correct registry.
    pub(crate) fn bend(state: &State, request: &Entry, answer: Answer, script: Script) -> Self {
        let mut answer = replace(state, request, answer, &script);
        let start =
            if answer.ranged && answer.status == 200 { select_range(request, &mut answer, &script.range) } else { 0 };
        script.headers.into_iter().for_each(|edit| match edit {
            HeaderEdit::Set(name, value) => answer.set(name, value),
            HeaderEdit::Add(name, value) => answer.headers.push((name, value)),
            HeaderEdit::Remove(name) => answer.remove(&name),
        });
        let length = answer.body.len() as u64;
        let flips = script.flips.into_iter().filter_map(|offset| offset.checked_sub(start)).collect();
        let mut interruptions: Vec<_> =
            script.interruptions.into_iter().map(|(place, what)| (offset_of(place, length), what)).collect();
        interruptions.sort_by_key(|(offset, _)| *offset);
        Self { answer, framing: script.framing, surplus: script.surplus, flips, interruptions, pace: script.pace }
    }
}

/// What stands in the place of the answer.
fn replace(state: &State, request: &Entry, mut answer: Answer, script: &Script) -> Answer {
    if script.expire_after.is_some_and(|uses| state.log.times_asked(&request.path, &request.query) > uses) {
        return Answer::error(403, "DENIED", "the signature has expired");
    }
    match &script.replacement {
        Some(Replacement::Reply(status, headers, body)) => {
            return Answer { status: *status, headers: headers.clone(), body: body.clone(), ranged: false };
        }
        Some(Replacement::Redirect(status, place)) => {
            return Answer::new(*status, "text/plain", "").with("Location", location(state, request, place));
        }
        None => {}
    }
    if let Some((bytes, media_type)) = &script.body {
        answer.body = bytes.clone();
        if let Some(media_type) = media_type {
            answer.set("Content-Type", media_type);
        }
    }
    if script.gzip {
        answer.body = gzip(&answer.body);
        answer.ranged = false;
        answer.set("Content-Encoding", "gzip");
    }
    answer
}

fn location(state: &State, request: &Entry, place: &Location) -> String {
    match place {
        Location::Fixed(url) => url.clone(),
        Location::Itself => format!("{}{}", state.url(), request.path),
        Location::Cdn(base) => {
            let digest = request.path.rsplit('/').next().unwrap_or_default();
            format!("{base}/cdn/{digest}?signature={}", state.next_signature())
        }
        Location::Download(base) => {
            format!("{base}{OWN_DOWNLOADS}{}", request.path.rsplit('/').next().unwrap_or_default())
        }
        Location::Rewritten { base, from, to } => format!("{base}{}", request.path.replacen(from, to, 1)),
    }
}

/// Cuts the answer down to the range asked for; returns where in the representation it starts.
fn select_range(request: &Entry, answer: &mut Answer, script: &RangeScript) -> u64 {
    let total = answer.body.len() as u64;
    match asked_range(request.header("range"), total) {
        Asked::Several if script.refuse_several => {
            *answer = Answer::error(400, "UNSUPPORTED", "several ranges are not supported");
        }
        Asked::Nothing if !script.ignore => {
            *answer = Answer::error(416, "RANGE_INVALID", "range outside the blob");
            answer.set("Content-Range", format!("bytes */{total}"));
        }
        Asked::Part(start, end) if !script.ignore => return serve_part(answer, start, end, script),
        Asked::Whole | Asked::Several | Asked::Nothing | Asked::Part(..) => {
            if script.content_range_on_200 {
                answer.set("Content-Range", format!("bytes 0-{}/{total}", total.saturating_sub(1)));
            }
        }
    }
    0
}

fn serve_part(answer: &mut Answer, start: u64, end: u64, script: &RangeScript) -> u64 {
    let total = answer.body.len() as u64;
    let start = start.saturating_add_signed(script.shift_start).min(total - 1);
    let end = end.saturating_add_signed(script.shift_end).clamp(start + 1, total);
    let (first, last) =
        (start.saturating_add_signed(script.lie_start), (end - 1).saturating_add_signed(script.lie_start));
    answer.status = 206;
    answer.body = answer.body.slice(start as usize..end as usize);
    answer.set("Content-Range", format!("bytes {first}-{last}/{}", script.lie_total.unwrap_or(total)));
    start
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a fraction of a body needs no more than 52 bits"
)]
fn offset_of(place: Place, length: u64) -> u64 {
    match place {
        Place::Bytes(offset) => offset,
        Place::Fraction(fraction) => (length as f64 * fraction) as u64,
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes all bytes");
    Bytes::from(encoder.finish().expect("a Vec takes all bytes"))
}
