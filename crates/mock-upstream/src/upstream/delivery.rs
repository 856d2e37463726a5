//! Carries a plan out on a connection: head, then the body piece by piece, interrupted where the plan says so.
//!
//! Must not know: why. Invariant: a body byte is counted in the log entry before the client can have it; a piece that the
//! socket refused is taken back.

use std::io;
use std::time::SystemTime;

use super::connection::Connection;
use super::fault::Cut;
use super::plan::Plan;
use super::request_log::Entry;
use super::script::{Framing, Interruption};

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It takes the next request.
    KeepOpen,
    /// It is closed, for the framing of this answer cannot be followed by another.
    Close,
    /// It is cut in this way.
    Cut(Cut),
}

static FILLER: [u8; 64 * 1024] = [0xA5; 64 * 1024];

/// Sends the answer. An error means that the client has gone.
pub(crate) async fn deliver(connection: &mut Connection, request: &Entry, plan: Plan) -> io::Result<After> {
    let endless = plan.surplus == u64::MAX;
    let framing = if endless && matches!(plan.framing, Framing::Length(_)) { Framing::Chunked } else { plan.framing };
    connection.write_all(head(&plan, framing, request).as_bytes()).await?;
    if request.method == "HEAD" || plan.answer.status == 304 {
        return Ok(after(framing));
    }
    let mut interruptions = plan.interruptions.iter().peekable();
    let total = (plan.answer.body.len() as u64).saturating_add(plan.surplus);
    let mut offset = 0;
    loop {
        while let Some((_, interruption)) = interruptions.next_if(|(at, _)| *at <= offset) {
            match interruption {
                Interruption::Cut(how) => return Ok(After::Cut(*how)),
                Interruption::Stall(gate) => gate.pass().await,
                Interruption::Pause(pause) => tokio::time::sleep(*pause).await,
            }
        }
        if offset >= total {
            break;
        }
        let until = interruptions.peek().map_or(total, |(at, _)| total.min(*at));
        offset += send_piece(connection, request, &plan, framing, offset, until).await?;
        if !plan.pace.pause.is_zero() {
            tokio::time::sleep(plan.pace.pause).await;
        }
    }
    if framing == Framing::Chunked {
        connection.write_all(b"0\r\n\r\n").await?;
    }
    Ok(after(framing))
}

fn after(framing: Framing) -> After {
    match framing {
        Framing::Length(0) | Framing::Chunked => After::KeepOpen,
        Framing::Length(_) | Framing::ChunkedUnended | Framing::Close => After::Close,
    }
}

/// One piece of the body (or of the filler after it) that ends at or before `until`; returns its length.
async fn send_piece(
    connection: &mut Connection,
    request: &Entry,
    plan: &Plan,
    framing: Framing,
    offset: u64,
    until: u64,
) -> io::Result<u64> {
    let body = &plan.answer.body;
    let length = (until - offset).min(plan.pace.piece as u64) as usize;
    let flipped;
    let piece: &[u8] = if offset < body.len() as u64 {
        let start = offset as usize;
        let end = body.len().min(start + length);
        flipped = flip(&body[start..end], offset, &plan.flips);
        flipped.as_deref().unwrap_or(&body[start..end])
    } else {
        &FILLER[..length.min(FILLER.len())]
    };
    let bytes = piece.len() as u64;
    request.sending(bytes);
    let written = write_piece(connection, framing, piece).await;
    if written.is_err() {
        request.not_sent(bytes);
    }
    written.map(|()| bytes)
}

async fn write_piece(connection: &mut Connection, framing: Framing, piece: &[u8]) -> io::Result<()> {
    match framing {
        Framing::Length(_) | Framing::Close => connection.write_all(piece).await,
        Framing::Chunked | Framing::ChunkedUnended => {
            connection.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            connection.write_all(piece).await?;
            connection.write_all(b"\r\n").await
        }
    }
}

/// A copy with the wanted bytes inverted, or `None` when none of them lies in this piece.
fn flip(piece: &[u8], offset: u64, flips: &[u64]) -> Option<Vec<u8>> {
    let here: Vec<usize> = flips
        .iter()
        .filter_map(|at| at.checked_sub(offset))
        .map(|at| at as usize)
        .filter(|at| *at < piece.len())
        .collect();
    (!here.is_empty()).then(|| {
        let mut copy = piece.to_vec();
        for at in here {
            copy[at] = !copy[at];
        }
        copy
    })
}

fn head(plan: &Plan, framing: Framing, request: &Entry) -> String {
    let mut lines = vec![format!("HTTP/1.1 {} {}", plan.answer.status, reason(plan.answer.status))];
    lines.extend(plan.answer.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(format!("Date: {}", httpdate::fmt_http_date(SystemTime::now())));
    let true_length = (plan.answer.body.len() as u64).saturating_add(plan.surplus);
    match framing {
        // RFC 9110 15.4.5: a 304 describes a body it does not carry; leaving the length out is always right.
        Framing::Length(_) if plan.answer.status == 304 => {}
        Framing::Length(lie) => lines.push(format!("Content-Length: {}", true_length.saturating_add_signed(lie))),
        Framing::Chunked | Framing::ChunkedUnended if request.method == "HEAD" => {}
        Framing::Chunked | Framing::ChunkedUnended => lines.push("Transfer-Encoding: chunked".to_owned()),
        Framing::Close => lines.push("Connection: close".to_owned()),
    }
    lines.join("\r\n") + "\r\n\r\n"
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        300..=399 => "Redirect",
        400..=499 => "Client Error",
        500..=599 => "Server Error",
        _ => "Status",
    }
}
