//! What retention keeps, decided from facts alone.
//!
//! Must not know where facts come from, nor delete anything. Invariants: a tag goes only when a rule is about it and nothing
//! keeps it; what an operator protects otherwise (immutable, channel) stays unless the rule says so, and what a channel
//! stands on even then.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use metadata::TagFacts;
use semver::Version;

use super::holdings::Holding;
use super::signatures::{self, is_signature};
use crate::repositories::TagPattern;

/// What retention a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionSpec {
    /// The rules. A tag stays when any of them keeps it.
    pub rules: Vec<RetentionRule>,
    /// How often it runs by itself; never, without.
    pub interval: Option<Duration>,
}

/// A rule about some tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// The tags it is about.
    pub tags: Vec<TagPattern>,
    /// Keeps so many of each name.
    pub keep_last: Option<u32>,
    /// Keeps what was pushed within this time.
    pub keep_newer_than: Option<Duration>,
    /// Keeps these.
    pub keep_matching: Vec<TagPattern>,
    /// Keeps what was pulled within this time.
    pub keep_pulled_within: Option<Duration>,
    /// Which are the last.
    pub order: Order,
    /// Whether immutable tags and channels may go.
    pub held: Held,
}

impl RetentionRule {
    /// Whether there is a tag that it could keep.
    pub(crate) fn keeps_something(&self) -> bool {
        let keeps = |within: Option<Duration>| within.is_some_and(|within| !within.is_zero());
        self.keep_last.is_some_and(|last| last > 0)
            || keeps(self.keep_newer_than)
            || keeps(self.keep_pulled_within)
            || !self.keep_matching.is_empty()
    }
}

/// In which order tags are the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By when they were pushed.
    #[default]
    Time,
    /// By semantic version, highest first; what is none comes after, by time.
    Semver,
}

/// What becomes of tags that are held otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// They stay.
    #[default]
    Stays,
    /// They go like others.
    Goes,
}

/// What is decided of a tag, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays.
    Keep(String),
    /// It goes.
    Delete(String),
}

/// When it is, and since when pulls are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Now.
    pub(super) now: SystemTime,
    /// Pulls before that were not noted.
    pub(super) pulls_known_since: SystemTime,
}

/// Reads a tag as a semantic version (semver.org), with or without a `v` before it.
pub(crate) fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix(['v', 'V']).unwrap_or(tag)).ok()
}

/// Which of two tags is the later one: it comes first.
fn later_first(order: Order, a: &TagFacts, b: &TagFacts) -> Ordering {
    let by_time = b.tagged_at.cmp(&a.tagged_at).then_with(|| a.tag.cmp(&b.tag));
    match order {
        Order::Time => by_time,
        Order::Semver => match (version(a.tag.as_str()), version(b.tag.as_str())) {
            (Some(a), Some(b)) => b.cmp_precedence(&a).then(by_time),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => by_time,
        },
    }
}

/// Decides on all tags of one name. `holding` says what holds a tag otherwise.
pub(super) fn judge(
    rules: &[RetentionRule],
    tags: &[TagFacts],
    clock: Clock,
    holding: impl Fn(&TagFacts) -> Option<Holding>,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; tags.len()];
    for rule in rules {
        let mut about: Vec<usize> = (0..tags.len())
            .filter(|at| {
                let tag = tags[*at].tag.as_str();
                !is_signature(tag) && rule.tags.iter().any(|pattern| pattern.matches(tag))
            })
            .collect();
        about.sort_by(|a, b| later_first(rule.order, &tags[*a], &tags[*b]));
        for (place, at) in about.into_iter().enumerate() {
            if matches!(verdicts[at], Some(Verdict::Keep(_))) {
                continue;
            }
            let tag = &tags[at];
            let held = holding(tag).filter(|holding| rule.held == Held::Stays || !holding.can_be_lifted());
            let kept = held.map(|holding| holding.reason()).or_else(|| keeps(rule, tag, place, clock));
            verdicts[at] = Some(kept.map_or_else(|| Verdict::Delete(why_not(rule)), Verdict::Keep));
        }
    }
    let untouched = || Verdict::Keep("no rule is about it".to_owned());
    let decided: Vec<Verdict> = verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(untouched)).collect();
    let all_stay = rules.iter().all(|rule| rule.held == Held::Stays);
    let is_held = |facts: &TagFacts| holding(facts).is_some_and(|holding| all_stay || !holding.can_be_lifted());
    signatures::follow(tags, decided, is_held)
}

fn keeps(rule: &RetentionRule, tag: &TagFacts, place: usize, clock: Clock) -> Option<String> {
    let ago = |time: SystemTime| clock.now.duration_since(time).unwrap_or_default();
    if let Some(pattern) = rule.keep_matching.iter().find(|pattern| pattern.matches(tag.tag.as_str())) {
        return Some(format!("it matches {pattern}"));
    }
    if let Some(last) = rule.keep_last.filter(|last| place < *last as usize) {
        let by = match rule.order {
            Order::Time => "time",
            Order::Semver => "version",
        };
        return Some(format!("it is number {} of the last {last} by {by}", place + 1));
    }
    if let Some(within) = rule.keep_newer_than.filter(|within| ago(tag.tagged_at) < *within) {
        return Some(format!("it was pushed {} ago, within {}", rough(ago(tag.tagged_at)), rough(within)));
    }
    let within = rule.keep_pulled_within?;
    if let Some(pulled) = tag.pulled_at.filter(|pulled| ago(*pulled) < within) {
        return Some(format!("it was pulled {} ago, within {}", rough(ago(pulled)), rough(within)));
    }
    // What was pushed a moment ago had no chance of being pulled.
    if ago(tag.tagged_at) < within {
        return Some(format!(
            "it was pushed {} ago, and may be pulled within {}",
            rough(ago(tag.tagged_at)),
            rough(within)
        ));
    }
    (ago(clock.pulls_known_since) < within).then(|| {
        format!("pulls are noted since {} only, less than {}", rough(ago(clock.pulls_known_since)), rough(within))
    })
}

fn why_not(rule: &RetentionRule) -> String {
    let criteria = [
        rule.keep_last.map(|last| format!("not of the last {last}")),
        rule.keep_newer_than.map(|within| format!("not pushed within {}", rough(within))),
        (!rule.keep_matching.is_empty()).then(|| "matches nothing that is kept".to_owned()),
        rule.keep_pulled_within.map(|within| format!("not pulled within {}", rough(within))),
    ];
    criteria.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A time without its smallest parts.
fn rough(time: Duration) -> String {
    let whole = Duration::from_secs(time.as_secs());
    humantime::format_duration(whole).to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    fn tag(text: &str, days_ago: u32, pulled_days_ago: Option<u32>) -> TagFacts {
        TagFacts {
            name: "app".parse().unwrap(),
            tag: text.parse().unwrap(),
            digest: Digest::sha256_of(text.as_bytes()),
            tagged_at: now() - days_ago * DAY,
            pulled_at: pulled_days_ago.map(|days| now() - days * DAY),
        }
    }

    fn rule(tags: &str) -> RetentionRule {
        RetentionRule {
            tags: vec![TagPattern::parse(tags).unwrap()],
            keep_last: None,
            keep_newer_than: None,
            keep_matching: Vec::new(),
            keep_pulled_within: None,
            order: Order::Time,
            held: Held::Stays,
        }
    }

    fn gone(rules: &[RetentionRule], tags: &[TagFacts], holding: impl Fn(&TagFacts) -> Option<Holding>) -> Vec<String> {
        let clock = Clock { now: now(), pulls_known_since: SystemTime::UNIX_EPOCH };
        let verdicts = judge(rules, tags, clock, holding);
        let both = tags.iter().zip(&verdicts);
        both.filter(|(_, verdict)| matches!(verdict, Verdict::Delete(_))).map(|(tag, _)| tag.tag.to_string()).collect()
    }

    #[test]
    fn versions_are_ordered_as_semver_says_and_others_by_time_after_them() {
        let order =
            ["2.0.0", "v2.0.0-rc.11", "2.0.0-rc.2", "2.0.0-beta", "v1.10.0", "1.9.0", "nightly", "latest", "1.10"];
        let mut tags: Vec<TagFacts> = order.iter().zip(0..).map(|(text, days)| tag(text, days, None)).collect();
        tags.reverse();
        tags.sort_by(|a, b| later_first(Order::Semver, a, b));
        assert_eq!(tags.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>(), order);
        assert_eq!(version("v1.2"), None, "two numbers are no version");
    }

    #[test]
    fn the_last_are_counted_by_version_or_by_time() {
        let tags = [tag("v1.9.0", 1, None), tag("v1.10.0", 5, None), tag("v1.8.0", 2, None)];
        let by_version = RetentionRule { keep_last: Some(1), order: Order::Semver, ..rule("*") };
        assert_eq!(gone(&[by_version], &tags, |_| None), ["v1.9.0", "v1.8.0"]);
        let by_time = RetentionRule { keep_last: Some(1), ..rule("*") };
        assert_eq!(gone(&[by_time], &tags, |_| None), ["v1.10.0", "v1.8.0"]);
    }

    #[test]
    fn any_criterion_of_any_rule_keeps_and_what_no_rule_is_about_stays() {
        let tags = [
            tag("new", 1, None),
            tag("pulled", 90, Some(3)),
            tag("release-1", 90, None),
            tag("other.x", 90, None),
            tag("old", 90, Some(60)),
        ];
        let first = RetentionRule {
            keep_newer_than: Some(30 * DAY),
            keep_pulled_within: Some(14 * DAY),
            keep_matching: vec![TagPattern::parse("release-*").unwrap()],
            ..rule("*")
        };
        assert_eq!(gone(std::slice::from_ref(&first), &tags, |_| None), ["other.x", "old"]);
        let second = RetentionRule { keep_last: Some(1), ..rule("other.*") };
        assert_eq!(gone(&[first, second], &tags, |_| None), ["old"]);
        let narrow = RetentionRule { keep_last: Some(0), ..rule("old") };
        assert_eq!(gone(&[narrow], &tags, |_| None), ["old"], "the others are nobody's business");
    }

    #[test]
    fn what_was_pushed_or_begun_to_be_watched_within_the_time_may_still_be_pulled() {
        let pulled = RetentionRule { keep_pulled_within: Some(14 * DAY), ..rule("*") };
        let tags = [tag("fresh", 1, None), tag("old", 90, None)];
        assert_eq!(gone(std::slice::from_ref(&pulled), &tags, |_| None), ["old"]);
        let clock = Clock { now: now(), pulls_known_since: now() - 3 * DAY };
        let verdicts = judge(&[pulled], &tags, clock, |_| None);
        assert!(matches!(&verdicts[1], Verdict::Keep(why) if why.contains("noted since")), "{verdicts:?}");
    }

    #[test]
    fn immutable_tags_and_channels_stay_unless_the_rule_says_so() {
        let tags = [tag("v1", 90, None), tag("stable", 90, None), tag("x", 90, None)];
        let holding = |facts: &TagFacts| match facts.tag.as_str() {
            "v1" => Some(Holding::Immutable),
            "stable" => Some(Holding::Channel),
            _ => None,
        };
        let strict = RetentionRule { keep_newer_than: Some(DAY), ..rule("*") };
        assert_eq!(gone(std::slice::from_ref(&strict), &tags, holding), ["x"]);
        let hard = RetentionRule { held: Held::Goes, ..strict };
        assert_eq!(gone(&[hard], &tags, holding), ["v1", "stable", "x"]);
    }

    #[test]
    fn the_version_that_a_channel_stands_on_stays_whatever_the_rule_says() {
        let tags = [tag("v1", 90, None), tag("v2", 90, None)];
        let holding = |facts: &TagFacts| match facts.tag.as_str() {
            "v1" => Some(Holding::StoodOnBy("lts".parse().unwrap())),
            _ => Some(Holding::Immutable),
        };
        let hard = RetentionRule { keep_newer_than: Some(DAY), held: Held::Goes, ..rule("*") };
        assert_eq!(gone(&[hard], &tags, holding), ["v2"]);
    }

    #[test]
    fn as_many_signatures_as_images_are_judged_in_one_pass() {
        const MANY: usize = 50_000;
        let images: Vec<TagFacts> = (0..MANY).map(|at| tag(&format!("i-{at}"), 90, None)).collect();
        let of = |facts: &TagFacts| tag(&format!("sha256-{}.sig", facts.digest.hex()), 90, None);
        let tags: Vec<TagFacts> = images.iter().map(of).chain(images.iter().cloned()).collect();
        let strict = RetentionRule { keep_last: Some(1), ..rule("*") };
        let asked = std::cell::Cell::new(0);
        let gone = gone(&[strict], &tags, |_| {
            asked.set(asked.get() + 1);
            None
        });
        assert_eq!(gone.len(), 2 * (MANY - 1), "the last image stays, and its signature");
        assert!(asked.get() <= tags.len(), "asked {} times of {} tags", asked.get(), tags.len());
    }

    #[test]
    fn signatures_go_with_the_last_tag_of_what_they_sign() {
        let (kept, old) = (tag("new", 1, None), tag("old", 90, None));
        let of = |facts: &TagFacts| tag(&format!("sha256-{}.sig", facts.digest.hex()), 90, None);
        let stray = tag(&format!("sha256-{}.att", "a".repeat(64)), 90, None);
        let tags = [kept.clone(), old.clone(), of(&kept), of(&old), stray];
        let strict = RetentionRule { keep_newer_than: Some(2 * DAY), ..rule("*") };
        let both = ["old".to_owned(), of(&old).tag.to_string()];
        assert_eq!(gone(std::slice::from_ref(&strict), &tags, |_| None), both);
        let signed = |facts: &TagFacts| is_signature(facts.tag.as_str()).then_some(Holding::Immutable);
        assert_eq!(gone(std::slice::from_ref(&strict), &tags, signed), ["old"], "an immutable one stays by itself");
        let hard = RetentionRule { held: Held::Goes, ..strict };
        assert_eq!(gone(&[hard], &tags, signed), both);
    }
}
