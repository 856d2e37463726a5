//! HTTP/2 frames (RFC 9113 section 4) and header blocks (RFC 7541) as they are written.
//!
//! Must not know sockets. Invariant: header blocks use no table and no Huffman code, so any of them can be written
//! without a memory of those before.

/// The type of a frame (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DATA
    Data = 0,
    /// HEADERS
    Headers = 1,
    /// RST_STREAM
    ResetStream = 3,
    /// SETTINGS
    Settings = 4,
    /// PING
    Ping = 6,
    /// GOAWAY
    GoAway = 7,
    /// CONTINUATION
    Continuation = 9,
}

/// Why a stream or connection ends (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// NO_ERROR
    NoError = 0,
    /// INTERNAL_ERROR
    InternalError = 2,
    /// REFUSED_STREAM
    RefusedStream = 7,
    /// CANCEL
    Cancel = 8,
    /// ENHANCE_YOUR_CALM
    EnhanceYourCalm = 11,
}

/// A setting (RFC 9113 section 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// SETTINGS_MAX_CONCURRENT_STREAMS
    MaxConcurrentStreams = 3,
    /// SETTINGS_INITIAL_WINDOW_SIZE
    InitialWindowSize = 4,
}

/// The last frame of a stream; also ACK of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 1;
/// ACK of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
/// The last frame of a header block.
pub(super) const END_HEADERS: u8 = 4;

/// Length of a frame's head.
pub(super) const HEAD_BYTES: usize = 9;

/// One frame, head included.
pub(super) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    [&length[1..], &[kind as u8, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of an answer.
pub(super) fn header_block(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    // Without indexing, name 8 of the static table: ":status".
    let mut block = vec![8];
    push_text(&mut block, &status.to_string());
    for (name, value) in headers {
        block.push(0);
        push_text(&mut block, name);
        push_text(&mut block, value);
    }
    block
}

/// A string literal (RFC 7541 section 5.2), its length as an integer with a prefix of seven bits (section 5.1).
fn push_text(block: &mut Vec<u8>, text: &str) {
    if let Some(mut rest) = text.len().checked_sub(127) {
        block.push(127);
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    } else {
        block.push(text.len() as u8);
    }
    block.extend_from_slice(text.as_bytes());
}
