//! A blob that is too large to be fetched for a check: looked at in parts.
//!
//! Its digest cannot be verified, so parts are compared with each other and with the size that the manifest tells. Must
//! not know where the blob comes from. Invariants: no more than a window of it is read by any question; nothing passes
//! because it could not be compared.

use bytes::Bytes;
use http::Method;
use http::header::{IF_RANGE, RANGE};
use oci::{ByteRange, ContentRange, Descriptor, RepositoryName};

use super::blobs::judge_head;
use super::manifests::short;
use super::ranges::FOREIGN_ETAG;
use super::redirects;
use super::report::{Check, CheckId, Findings, Outcome};
use super::seen::{Seen, is_strong, text};
use super::session::{Question, Session};

/// Most bytes of it that a question reads.
const WINDOW: u64 = 64 * 1024;

const IGNORED: &str = "the whole blob comes instead: a part costs the whole, and a broken transfer starts over";
const LIES: &str = "bytes would be put in the wrong place: such an answer is refused, or found out by the digest";

/// One large blob under examination.
struct Large<'l> {
    session: &'l Session,
    name: &'l RepositoryName,
    blob: &'l Descriptor,
}

/// A part as it came, or what is wrong with the answer.
type Part = Result<Seen, (Outcome, String, &'static str)>;

/// Checks the blob's headers and ranges.
pub(super) async fn check(session: &Session, name: &RepositoryName, blob: &Descriptor, findings: &mut Findings) {
    let large = Large { session, name, blob };
    match session.ask(&large.question(Method::HEAD)).await {
        Ok(head) => judge_head(&head, blob, findings),
        Err(error) => {
            findings.degraded(CheckId::BlobHead, text(&error.to_string()), "sizes are taken from manifests only");
        }
    }
    let size = blob.size;
    let start = large.part(&format!("bytes=0-{}", WINDOW - 1), 0, WINDOW).await;
    let Some(start) = large.judge_start(start, findings).await else { return };
    let first = large.part("bytes=0-9", 0, 10).await.and_then(|first| same(&first, &start.body.bytes[..10]));
    note(findings, CheckId::RangeFirst, "bytes=0-9", first);
    let open = large.part(&format!("bytes={}-", size - WINDOW), size - WINDOW, size).await;
    let tail = open.as_ref().ok().map(|open| open.body.bytes.clone());
    note(findings, CheckId::RangeOpen, &format!("bytes={}-", size - WINDOW), open.map(|_| ()));
    let suffix = large.part("bytes=-7", size - 7, size).await.and_then(|suffix| match &tail {
        Some(tail) => same(&suffix, &tail[tail.len() - 7..]),
        None => Ok(()),
    });
    note(findings, CheckId::RangeSuffix, "bytes=-7", suffix);
    large.several(&start.body.bytes, findings).await;
    large.beyond(findings).await;
    large.bound(&start, findings).await;
}

fn note(findings: &mut Findings, id: CheckId, asked: &str, judged: Result<(), (Outcome, String, &'static str)>) {
    let (outcome, seen, meaning) = judged.err().unwrap_or_else(|| {
        let meaning = "parts can be had: lazy pulling, parallel download, and going on after a break";
        (Outcome::Pass, "206, and the same bytes as another part has there".to_owned(), meaning)
    });
    findings.0.push(Check::new(id, outcome, format!("{asked} of a large blob: {seen}"), meaning));
}

fn same(part: &Seen, expected: &[u8]) -> Result<(), (Outcome, String, &'static str)> {
    if part.body.bytes.as_ref() == expected {
        return Ok(());
    }
    Err((Outcome::Fail, format!("{}, other bytes than another part has there", part.brief()), LIES))
}

impl Large<'_> {
    fn question(&self, method: Method) -> Question {
        self.session.content(method, self.name, &format!("blobs/{}", self.blob.digest), WINDOW as usize)
    }

    async fn ask(&self, range: &str) -> Result<Seen, String> {
        let question = self.question(Method::GET).with(RANGE, range);
        self.session.ask(&question).await.map_err(|error| text(&error.to_string()))
    }

    /// Asks for one part and judges all but its bytes.
    async fn part(&self, range: &str, start: u64, end: u64) -> Part {
        let answer = self.ask(range).await.map_err(|why| (Outcome::Degraded, why, IGNORED))?;
        let told = answer.content_range().map_or("no Content-Range".to_owned(), |(shown, _)| shown);
        let seen = format!("{}, {told}, {} bytes came", answer.brief(), answer.body.bytes.len());
        let wanted = ByteRange { start, end };
        match (answer.status, answer.content_range().and_then(|(_, read)| read)) {
            (206, Some(said)) if said.range != wanted || said.total.is_some_and(|total| total != self.blob.size) => {
                Err((Outcome::Fail, seen, "Content-Range names another part, or another size than the manifest"))
            }
            (206, Some(_)) => match answer.body.incomplete() {
                Some(why) => Err((Outcome::Fail, format!("{seen}; {why}"), "a part that does not come as it says")),
                None if answer.body.bytes.len() as u64 != wanted.len() => Err((Outcome::Fail, seen, LIES)),
                None => Ok(answer),
            },
            (206, None) => Err((Outcome::Fail, seen, "a 206 that does not say which part it is: refused")),
            (200, None) => Err((Outcome::Degraded, seen, IGNORED)),
            (200, Some(_)) => {
                Err((Outcome::Fail, seen, "a 200 with Content-Range: whole or part? Such an answer is refused"))
            }
            (400..=499, _) => Err((Outcome::Degraded, seen, "ranges are refused: a part costs the whole blob")),
            _ => Err((Outcome::Fail, seen, "a range makes it fail")),
        }
    }

    /// The first part stands for the GET. Without it nothing can be compared.
    async fn judge_start(&self, start: Part, findings: &mut Findings) -> Option<Seen> {
        let (digest, mib) = (short(&self.blob.digest), self.blob.size >> 20);
        match start {
            Ok(start) => {
                redirects::check(self.session, self.name, &self.blob.digest, &start, findings).await;
                let seen = format!(
                    "{} from {}, the first {} of {mib} MiB",
                    start.brief(),
                    start.answered_by(),
                    start.body.bytes.len()
                );
                let meaning = "no blob of at most 8 MiB is there: looked at in parts, its digest not verified";
                findings.pass(CheckId::BlobGet, seen, meaning);
                Some(start)
            }
            Err((outcome, seen, meaning)) => {
                let whole = format!("blob {digest} has {mib} MiB and is not fetched whole");
                findings.skipped(CheckId::BlobGet, whole, "its ranges are looked at instead");
                findings.0.push(Check::new(
                    CheckId::RangeFirst,
                    outcome,
                    format!("bytes=0-{}: {seen}", WINDOW - 1),
                    meaning,
                ));
                None
            }
        }
    }

    async fn several(&self, start: &Bytes, findings: &mut Findings) {
        let id = CheckId::RangeMulti;
        let half = self.blob.size / 2;
        let value = format!("bytes=0-3,{half}-{}", half + 5);
        let answer = match self.ask(&value).await {
            Ok(answer) => answer,
            Err(why) => return findings.degraded(id, why, "we only ever ask for one range at a time"),
        };
        let kind = answer.content_type().unwrap_or_default();
        let seen = format!("{value}: {}, {kind}, {} bytes came", answer.brief(), answer.body.bytes.len());
        let holds_first = answer.body.bytes.windows(4).any(|four| four == &start[..4]);
        match answer.status {
            206 if kind == "multipart/byteranges" && holds_first => {
                findings.pass(id, seen, "several parts in one answer (eStargz, SOCI)");
            }
            206 if kind == "multipart/byteranges" => findings.fail(id, format!("{seen}; the first is not there"), LIES),
            206 if answer.body.bytes.as_ref() == &start[..4] => {
                findings.degraded(id, seen, "only the first of several ranges is answered");
            }
            206 => findings.fail(id, format!("{seen}; neither the parts nor the first"), LIES),
            200 | 400..=499 => findings.degraded(id, seen, "several ranges are not answered; we ask for one at a time"),
            _ => findings.fail(id, seen, "several ranges make it fail; we ask for one at a time"),
        }
    }

    async fn beyond(&self, findings: &mut Findings) {
        let id = CheckId::RangeUnsatisfiable;
        let value = format!("bytes={}-", self.blob.size);
        let answer = match self.ask(&value).await {
            Ok(answer) => answer,
            Err(why) => return findings.degraded(id, why, "an end that is not known beforehand cannot be found out"),
        };
        let range = answer.content_range().map(|(shown, _)| shown);
        let seen = format!("{value}: {}, {}", answer.brief(), range.as_deref().unwrap_or("no Content-Range"));
        match (answer.status, range) {
            (416, Some(range)) if range == ContentRange::unsatisfied(self.blob.size) => {
                findings.pass(id, seen, "a wrong guess of the size is put right by the answer");
            }
            (416, Some(_)) => findings.fail(id, seen, "the size it tells is not the manifest's"),
            (416, None) => findings.degraded(id, seen, "it says no, but not what the size is"),
            (200, None) => findings.degraded(id, seen, IGNORED),
            (200 | 206, _) => findings.fail(id, seen, "bytes where there are none"),
            (400..=499, _) => findings.degraded(id, seen, "refused with an unusual status"),
            _ => findings.fail(id, seen, "a range beyond the end makes it fail"),
        }
    }

    /// `If-Range`: a part of these bytes, or the whole of what is there now.
    async fn bound(&self, start: &Seen, findings: &mut Findings) {
        let id = CheckId::IfRange;
        let Some(etag) = start.etag().filter(|etag| is_strong(etag)) else {
            let meaning = "a range cannot be bound to bytes seen before";
            return findings.skipped(id, "no strong ETag to bind a range to", meaning);
        };
        let ask = |condition: &str| {
            let question = self.question(Method::GET).with(RANGE, "bytes=0-9").with(IF_RANGE, condition);
            async move { self.session.ask(&question).await }
        };
        let (Ok(right), Ok(wrong)) = (ask(&etag).await, ask(FOREIGN_ETAG).await) else {
            return findings.degraded(id, "no answer", "requests with If-Range fail");
        };
        let seen = format!("own ETag {}, another {}", right.status, wrong.status);
        match (right.status, wrong.status) {
            (206, 200) => findings.pass(id, seen, "a broken transfer goes on only where the bytes are still the same"),
            (206, 206) => findings.fail(
                id,
                seen,
                "the condition is not looked at: parts of different bytes may be joined (harmless for digests, not for tags)",
            ),
            (200, 200) => {
                findings.degraded(id, seen, "ranges with a condition are not answered: a broken transfer starts over");
            }
            _ => findings.fail(id, seen, "neither a part nor the whole as the condition asks"),
        }
    }
}
