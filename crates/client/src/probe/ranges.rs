//! Parts of a blob: whether the headers of a part are true and its bytes are the blob's.
//!
//! Every answer is compared with the whole blob, whose digest was verified. Must not know where the blob comes from.
//! Invariant: a part passes only when `Content-Range`, `Content-Length` and bytes all say the same and are right.

use http::header::{IF_RANGE, RANGE};
use http::{HeaderName, Method};
use oci::{ByteRange, ContentRange, RepositoryName};

use super::blobs::{self, Blob};
use super::byteranges;
use super::report::{CheckId, Findings, Outcome};
use super::seen::{Seen, is_strong, text};
use super::session::Session;

/// Below, several ranges that do not touch cannot be had.
const SMALLEST: u64 = 32;

/// A validator that is nobody's.
pub(super) const FOREIGN_ETAG: &str = "\"transship-probe-no-such-validator\"";

/// What an answer to a range is worth.
type Judged = (Outcome, String, &'static str);

const TRUE_PART: &str = "parts can be had: lazy pulling, parallel download, and going on after a break";
const IGNORED: &str = "the whole blob comes instead: a part costs the whole, and a broken transfer starts over";
const LIES: &str = "bytes would be put in the wrong place: such an answer is refused, or found out by the digest";

/// Checks the kinds of range.
pub(super) async fn check(session: &Session, name: &RepositoryName, blob: &Blob, findings: &mut Findings) {
    let size = blob.bytes.len() as u64;
    if size < SMALLEST {
        for id in [CheckId::RangeFirst, CheckId::RangeOpen, CheckId::RangeSuffix, CheckId::RangeMulti] {
            findings.skipped(id, format!("the blob has {size} bytes"), "");
        }
        return;
    }
    let (third, tail) = (size / 3, 7);
    for (id, value, start, end) in [
        (CheckId::RangeFirst, "bytes=0-9".to_owned(), 0, 10),
        (CheckId::RangeOpen, format!("bytes={third}-"), third, size),
        (CheckId::RangeSuffix, format!("bytes=-{tail}"), size - tail, size),
    ] {
        let (outcome, seen, meaning) = match (ask(session, name, blob, &value, None).await, ByteRange::new(start, end))
        {
            (Ok(answer), Some(wanted)) => single(&answer, &blob.bytes, wanted),
            (Ok(_), None) => continue,
            (Err(why), _) => (Outcome::Degraded, why, IGNORED),
        };
        findings.0.push(super::report::Check::new(id, outcome, format!("{value}: {seen}"), meaning));
    }
    several(session, name, blob, findings).await;
    beyond(session, name, blob, findings).await;
    bound(session, name, blob, findings).await;
}

async fn ask(
    session: &Session,
    name: &RepositoryName,
    blob: &Blob,
    range: &str,
    condition: Option<(HeaderName, &str)>,
) -> Result<Seen, String> {
    let mut question = blobs::question(session, Method::GET, name, &blob.digest).with(RANGE, range);
    if let Some((header, value)) = condition {
        question = question.with(header, value);
    }
    session.ask(&question).await.map_err(|error| text(&error.to_string()))
}

/// Judges the answer to one satisfiable range.
fn single(answer: &Seen, whole: &[u8], wanted: ByteRange) -> Judged {
    let (range, read) = answer
        .content_range()
        .map_or(("no Content-Range".to_owned(), None), |(shown, read)| (format!("Content-Range {shown}"), read));
    let length = answer.length().map_or("no length".to_owned(), |length| format!("length {length}"));
    let bytes = &answer.body.bytes;
    let seen = format!("{}, {range}, {length}, {} bytes came", answer.brief(), bytes.len());
    let part = &whole[wanted.start as usize..wanted.end as usize];
    match answer.status {
        206 => partial(answer, read, seen, whole, wanted),
        200 if range != "no Content-Range" => {
            (Outcome::Fail, seen, "a 200 with Content-Range: whole or part? Such an answer is refused")
        }
        200 if answer.body.incomplete().is_some() || bytes.as_ref() != whole => {
            let meaning = if bytes.as_ref() == part {
                "a part that calls itself whole: such an answer is found out by the digest"
            } else {
                LIES
            };
            (Outcome::Fail, seen, meaning)
        }
        200 => (Outcome::Degraded, seen, IGNORED),
        416 => (Outcome::Fail, seen, "it says the range is beyond the blob, which is not true"),
        400..=499 => (Outcome::Degraded, seen, "ranges are refused: a part costs the whole blob"),
        _ => (Outcome::Fail, seen, "a range makes it fail"),
    }
}

fn partial(answer: &Seen, read: Option<ContentRange>, seen: String, whole: &[u8], wanted: ByteRange) -> Judged {
    let bytes = answer.body.bytes.as_ref();
    if let Some(why) = answer.body.incomplete() {
        return (Outcome::Fail, format!("{seen}; {why}"), "a part that does not come whole");
    }
    if bytes.len() == whole.len() && wanted.len() < whole.len() as u64 {
        return (
            Outcome::Fail,
            seen,
            "a 206 with the whole blob in it: bytes would be put in the wrong place; refused",
        );
    }
    let Some(said) = read else {
        return (Outcome::Fail, seen, "a 206 that does not say which part it is: refused");
    };
    if said.range != wanted {
        return (Outcome::Fail, seen, "Content-Range names another part than the one asked for");
    }
    if said.total.is_some_and(|total| total != whole.len() as u64) {
        return (Outcome::Fail, seen, "Content-Range names a wrong size of the blob: refused");
    }
    if bytes != &whole[wanted.start as usize..wanted.end as usize] {
        return (Outcome::Fail, seen, LIES);
    }
    if said.total.is_none() {
        return (Outcome::Degraded, seen, "right, but it does not tell the size of the blob");
    }
    (Outcome::Pass, seen, TRUE_PART)
}

async fn several(session: &Session, name: &RepositoryName, blob: &Blob, findings: &mut Findings) {
    let id = CheckId::RangeMulti;
    let size = blob.bytes.len() as u64;
    let wanted = [(0, 4), (size / 2, size / 2 + 6)].map(|(start, end)| ByteRange { start, end });
    let value = format!("bytes=0-3,{}-{}", wanted[1].start, wanted[1].end - 1);
    let answer = match ask(session, name, blob, &value, None).await {
        Ok(answer) => answer,
        Err(why) => return findings.degraded(id, why, "we only ever ask for one range at a time"),
    };
    let kind = answer.content_type().unwrap_or_default();
    let seen = format!("{value}: {}, {kind}, {} bytes came", answer.brief(), answer.body.bytes.len());
    let rest = "clients that ask for several at once get more than they asked for; we ask for one at a time";
    match answer.status {
        206 if kind == "multipart/byteranges" => match byteranges::read(&answer) {
            Ok(parts) if byteranges::hold(&parts, &blob.bytes, &wanted) => {
                findings.pass(id, seen, "several parts in one answer (eStargz, SOCI)");
            }
            Ok(_) => findings.fail(id, format!("{seen}; parts that are not the blob's"), LIES),
            Err(why) => findings.fail(id, format!("{seen}; {why}"), "an answer in parts that cannot be read"),
        },
        206 => {
            let first = single(&answer, &blob.bytes, wanted[0]);
            if first.0 == Outcome::Pass {
                findings.degraded(id, seen, "only the first of several ranges is answered");
            } else {
                findings.fail(id, format!("{seen}; neither the parts nor the first"), LIES);
            }
        }
        200 if answer.body.bytes == blob.bytes => findings.degraded(id, seen, rest),
        200 => findings.fail(id, seen, LIES),
        400..=499 => findings.degraded(id, seen, "several ranges are refused; we ask for one at a time"),
        _ => findings.fail(id, seen, "several ranges make it fail; we ask for one at a time"),
    }
}

async fn beyond(session: &Session, name: &RepositoryName, blob: &Blob, findings: &mut Findings) {
    let id = CheckId::RangeUnsatisfiable;
    let size = blob.bytes.len();
    let value = format!("bytes={size}-");
    let answer = match ask(session, name, blob, &value, None).await {
        Ok(answer) => answer,
        Err(why) => return findings.degraded(id, why, "an end that is not known beforehand cannot be found out"),
    };
    let range = answer.content_range().map(|(shown, _)| shown);
    let shown = range.clone().map_or("no Content-Range".to_owned(), |range| format!("Content-Range {range}"));
    let seen = format!("{value}: {}, {shown}", answer.brief());
    match (answer.status, range) {
        (416, Some(range)) if range == ContentRange::unsatisfied(size as u64) => {
            findings.pass(id, seen, "a wrong guess of the size is put right by the answer");
        }
        (416, Some(_)) => findings.fail(id, seen, "the size it tells is wrong"),
        (416, None) => findings.degraded(id, seen, "it says no, but not what the size is"),
        (200, None) if answer.body.bytes == blob.bytes => findings.degraded(id, seen, IGNORED),
        (200 | 206, _) => findings.fail(id, seen, "bytes where there are none"),
        (400..=499, _) => findings.degraded(id, seen, "refused with an unusual status"),
        _ => findings.fail(id, seen, "a range beyond the end makes it fail"),
    }
}

/// `If-Range` (RFC 9110 section 13.1.5): a part of these bytes, or the whole of what is there now.
async fn bound(session: &Session, name: &RepositoryName, blob: &Blob, findings: &mut Findings) {
    let id = CheckId::IfRange;
    let Some(etag) = blob.get.etag().filter(|etag| is_strong(etag)) else {
        return findings.skipped(
            id,
            "no strong ETag to bind a range to",
            "a range cannot be bound to bytes seen before",
        );
    };
    let right = ask(session, name, blob, "bytes=0-9", Some((IF_RANGE, &etag))).await;
    let wrong = ask(session, name, blob, "bytes=0-9", Some((IF_RANGE, FOREIGN_ETAG))).await;
    let (Ok(right), Ok(wrong)) = (right, wrong) else {
        return findings.degraded(id, "no answer", "requests with If-Range fail");
    };
    let seen = format!("own ETag {}, another {}", right.status, wrong.status);
    match (right.status, wrong.status) {
        (206, 200) if right.body.bytes[..] == blob.bytes[..10] && wrong.body.bytes == blob.bytes => {
            findings.pass(id, seen, "a broken transfer goes on only where the bytes are still the same");
        }
        (206, 206) => findings.fail(
            id,
            seen,
            "the condition is not looked at: parts of different bytes may be joined (harmless for digests, not for tags)",
        ),
        (200, 200) => findings.degraded(id, seen, "ranges with a condition are not answered: a broken transfer starts over"),
        _ => findings.fail(id, seen, "neither a part nor the whole as the condition asks"),
    }
}

#[cfg(test)]
mod tests;
