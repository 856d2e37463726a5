//! The W3C trace context of a request: read from `traceparent`, or begun here.
//!
//! Must not know any tracing library: the binary connects this to one. Invariant: trace id and parent id are never
//! zero (W3C Trace Context section 3.2.2).

use http::{HeaderMap, HeaderName};
use registry::TraceParent;

use super::request_id::hex_into;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where a request stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The caller's span; one made up when the caller named none.
    pub parent_id: u64,
    /// Whether the caller records this trace.
    pub sampled: Sampled,
}

/// The caller's decision on recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// The caller records.
    Yes,
    /// The caller does not record.
    No,
    /// There was no (valid) `traceparent`: the decision is ours.
    Undecided,
}

impl TraceContext {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers.get(TRACEPARENT).and_then(|value| parse(value.as_bytes())).unwrap_or_else(Self::begin)
    }

    /// What requests sent upstream on behalf of this one carry.
    pub(crate) fn parent(self) -> TraceParent {
        TraceParent { trace_id: self.trace_id, span_id: self.parent_id, sampled: self.sampled == Sampled::Yes }
    }

    fn begin() -> Self {
        Self { trace_id: fastrand::u128(1..), parent_id: fastrand::u64(1..), sampled: Sampled::Undecided }
    }

    /// The trace id as 32 lowercase hexadecimal digits.
    pub fn trace_id_hex(&self) -> String {
        self.trace_id_in(&mut [0; 32]).to_owned()
    }

    /// The same, written into `text`.
    pub(crate) fn trace_id_in<'a>(&self, text: &'a mut [u8; 32]) -> &'a str {
        hex_into(&self.trace_id.to_be_bytes(), text);
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; a later version may have more after another dash.
fn parse(value: &[u8]) -> Option<TraceContext> {
    let version = hex_number(value.get(..2)?)?;
    let ends_well = match version {
        0xff => false,
        0 => value.len() == 55,
        _ => value.len() == 55 || value.get(55) == Some(&b'-'),
    };
    let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    if !ends_well || !dashes {
        return None;
    }
    let trace_id = hex_number(&value[3..35])?;
    let parent_id = u64::try_from(hex_number(&value[36..52])?).ok()?;
    let flags = hex_number(&value[53..55])?;
    let sampled = if flags & 1 == 1 { Sampled::Yes } else { Sampled::No };
    (trace_id != 0 && parent_id != 0).then_some(TraceContext { trace_id, parent_id, sampled })
}

fn hex_number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | u128::from(digit - b'0')),
        b'a'..=b'f' => Some(number << 4 | u128::from(digit - b'a' + 10)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(value: &str) -> TraceContext {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, value.parse().unwrap());
        TraceContext::of(&headers)
    }

    #[test]
    fn a_valid_traceparent_is_continued() {
        let context = of(GOOD);
        assert_eq!(context.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.sampled, Sampled::Yes);
        assert_eq!(of(&GOOD.replace("-01", "-00")).sampled, Sampled::No);
        assert_eq!(of(&format!("{}-more", GOOD.replacen("00", "01", 1))).trace_id, context.trace_id);
    }

    #[test]
    fn anything_else_begins_a_trace() {
        let good = of(GOOD).trace_id;
        for odd in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &format!("{GOOD}0"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        ] {
            let context = of(odd);
            assert_ne!(context.trace_id, good, "{odd}");
            assert_ne!(context.trace_id, 0);
            assert_eq!(context.sampled, Sampled::Undecided, "{odd}");
        }
    }
}
