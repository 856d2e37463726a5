//! What belongs to a manifest by its tag: signatures, attestations, SBOMs.
//!
//! Must not know rules. Invariants: such a tag is judged by what becomes of its manifest's other tags, and by nothing else;
//! each tag is looked at a fixed number of times.

use std::collections::HashMap;

use metadata::TagFacts;
use oci::Digest;

use super::rules::Verdict;

/// Whether a tag is one by which tools find what belongs to a manifest: `sha256-<hex>` and cosign's endings of it.
pub(super) fn is_signature(tag: &str) -> bool {
    named(tag).is_some()
}

/// The algorithm and the hexadecimal digits in such a tag; they may be fewer than a digest of the algorithm has.
fn named(tag: &str) -> Option<(&str, &str)> {
    let (algorithm, rest) = tag.split_once('-').filter(|(algorithm, _)| matches!(*algorithm, "sha256" | "sha512"))?;
    let hex = rest.split('.').next().unwrap_or(rest);
    (hex.len() >= 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((algorithm, hex))
}

/// The manifest that the tag's owner belongs to, when the tag names it in full.
fn subject_of(tag: &str) -> Option<Digest> {
    let (algorithm, hex) = named(tag)?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// What belongs to a manifest stays with it, and goes with its last tag.
pub(super) fn follow(
    tags: &[TagFacts],
    mut verdicts: Vec<Verdict>,
    is_held: impl Fn(&TagFacts) -> bool,
) -> Vec<Verdict> {
    // Whether all tags of a manifest go. Once over all: for each signature anew, it would be the square of them.
    let mut all_go: HashMap<Digest, bool> = HashMap::new();
    for (facts, verdict) in tags.iter().zip(&verdicts).filter(|(facts, _)| !is_signature(facts.tag.as_str())) {
        *all_go.entry(facts.digest).or_insert(true) &= matches!(verdict, Verdict::Delete(_));
    }
    for (facts, verdict) in tags.iter().zip(&mut verdicts) {
        let Some((algorithm, hex)) = named(facts.tag.as_str()) else { continue };
        let goes = subject_of(facts.tag.as_str()).and_then(|subject| all_go.get(&subject).copied());
        *verdict = if goes == Some(true) && !is_held(facts) {
            Verdict::Delete(format!("it belongs to {algorithm}:{hex}, whose tags go"))
        } else {
            Verdict::Keep(format!("it belongs to {algorithm}:{hex}"))
        };
    }
    verdicts
}
