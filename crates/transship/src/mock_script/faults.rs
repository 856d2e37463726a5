//! `match` and `faults` of a rule.
//!
//! Must not know what a fault does on the wire. Invariant: every word of the script stands in `KINDS`, `WHEN` or `FAULTS`.

use mock_upstream::upstream::{Cut, DigestHeader, Fault, Gate, Kind, Location, Target};

use super::reader::Reader;
use crate::config::Size;

const KINDS: [(&str, Kind); 5] = [
    ("manifest", Kind::Manifest),
    ("blob", Kind::Blob),
    ("tags", Kind::Tags),
    ("token", Kind::Token),
    ("ping", Kind::Ping),
];
const WHEN: [&str; 6] = ["nth", "first", "from", "every", "probability", "flapping"];
const FAULTS: [&str; 10] = [
    "latency",
    "bandwidth",
    "cut",
    "stall",
    "corrupt",
    "status",
    "redirect",
    "digest_header",
    "ignore_range",
    "hang_up",
];

/// Which requests are hit.
pub(super) fn target(read: &mut Reader<'_>) -> Target {
    let known: Vec<&str> = ["kind", "method", "path"].into_iter().chain(WHEN).collect();
    read.only(&known);
    let mut target = Target::any();
    if let Some(word) = read.text("kind") {
        match KINDS.iter().find(|(name, _)| *name == word) {
            Some((_, kind)) => target = Target::kind(*kind),
            None => read.strange("kind", &word, KINDS.iter().map(|(name, _)| *name)),
        }
    }
    match read.text("method").as_deref() {
        None => {}
        Some("GET") => target = target.get(),
        Some("HEAD") => target = target.head(),
        Some(other) => read.strange("method", other, ["GET", "HEAD"].into_iter()),
    }
    if let Some(part) = read.text("path") {
        target = target.path(&part);
    }
    if WHEN.iter().filter(|when| !read.get(when).is_null()).count() > 1 {
        read.problem("nth", format!("only one of {} can hold", WHEN.join(", ")));
    }
    when(read, target)
}

fn when(read: &mut Reader<'_>, mut target: Target) -> Target {
    let mut count = |name: &str| read.number(name).map(|number| number.max(1) as usize);
    if let Some(number) = count("nth") {
        target = target.nth(number);
    }
    if let Some(number) = count("first") {
        target = target.first(number);
    }
    if let Some(number) = count("from") {
        target = target.from_nth(number);
    }
    if let Some(number) = count("every") {
        target = target.every(number);
    }
    if let Some(part) = read.part("probability") {
        target = target.chance(part);
    }
    let flapping = read.section("flapping", |read| {
        read.only(&["ok", "fail"]);
        (read.number("ok").unwrap_or(1) as usize, read.number("fail").unwrap_or(1) as usize)
    });
    match flapping {
        Some((well, ill)) => target.flapping(well, ill),
        None => target,
    }
}

/// What goes wrong. One fault a list item; `retry_after` goes with `status`.
pub(super) fn fault(read: &mut Reader<'_>) -> Option<Fault> {
    let known: Vec<&str> = FAULTS.into_iter().chain(["retry_after"]).collect();
    read.only(&known);
    let names = read.names();
    let mut given = names.iter().filter(|name| FAULTS.contains(&name.as_str()));
    let (Some(name), None) = (given.next(), given.next()) else {
        if names.iter().all(|name| known.contains(&name.as_str())) {
            read.problem("", format!("one fault a list item: {}", FAULTS.join(", ")));
        }
        return None;
    };
    match name.as_str() {
        "latency" => read.duration("latency").map(Fault::DelayFirstByte),
        "bandwidth" => read.parsed("bandwidth", Size::parse).map(|size| Fault::Bandwidth(size.0)),
        "stall" => read.parsed("stall", Size::parse).map(|size| Fault::StallAfter(size.0, Gate::new())),
        "corrupt" => read.number("corrupt").map(Fault::FlipByte),
        "redirect" => read.text("redirect").map(|place| Fault::Redirect(307, Location::Fixed(place))),
        "digest_header" => read.text("digest_header").map(|says| Fault::ContentDigest(DigestHeader::Says(says))),
        "ignore_range" => Some(Fault::IgnoreRange),
        "hang_up" => Some(Fault::HangUp(Cut::Reset)),
        "cut" => read.section("cut", cut).flatten(),
        _ => status(read),
    }
}

fn cut(read: &mut Reader<'_>) -> Option<Fault> {
    read.only(&["after", "at"]);
    match (read.parsed("after", Size::parse), read.part("at")) {
        (Some(size), None) => Some(Fault::CutAfter(size.0, Cut::Reset)),
        (None, Some(part)) => Some(Fault::CutAtFraction(part, Cut::Reset)),
        // One that is there and cannot be read has been complained of.
        (None, None) if read.names().len() == 1 => None,
        (Some(_), Some(_)) | (None, None) => {
            read.problem("after", "say after: 10MiB (bytes of each answer) or at: 0.5 (part of each answer)");
            None
        }
    }
}

fn status(read: &mut Reader<'_>) -> Option<Fault> {
    let wait = read.text("retry_after");
    let code = read.number("status")?;
    match u16::try_from(code).ok().filter(|code| (400..=599).contains(code)) {
        Some(429) => Some(Fault::too_many_requests(wait.as_deref())),
        Some(code) => Some(Fault::status(code)),
        None => {
            read.problem("status", "must be from 400 to 599");
            None
        }
    }
}
