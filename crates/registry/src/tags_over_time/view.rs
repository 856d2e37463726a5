//! A tag's history as it is told to people and programs.
//!
//! Must not know where it is kept. Invariant: what is written here, the commands of the same version read.

use metadata::{HostedTagEvent, TagEvent};
use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::hosted::show_time;

/// The history of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagHistory {
    /// The key of its repository.
    pub repository: String,
    /// The name in it.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// Its moves, newest first.
    pub moves: Vec<TagMoved>,
}

/// A move of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMoved {
    /// When it happened; of a cached tag, when it was seen.
    pub at: String,
    /// By whom; of a cached tag, the upstream that said so.
    pub by: String,
    /// `push`, `delete`, `promotion`, `revert`, `rollback`, `retention`, `channel`, or `upstream` for what was seen there.
    pub how: String,
    /// The promotion that did it.
    pub promotion: Option<String>,
    /// Where it pointed before; `None` when it was not there, or that is too long ago to be known.
    pub from: Option<String>,
    /// Where it points since; `None`: it is gone.
    pub to: Option<String>,
}

/// What a tag pointed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedTag {
    /// The image by its digest.
    pub reference: String,
    /// The digest.
    pub digest: String,
    /// Since when it did.
    pub since: String,
}

fn text(digest: Option<&Option<Digest>>) -> Option<String> {
    digest.copied().flatten().map(|digest| digest.to_string())
}

/// `events` has one more than `limit`, if there is one: it tells where the last pointed before.
pub(super) fn of_hosted(events: &[HostedTagEvent], limit: u32) -> Vec<TagMoved> {
    let moved = |(at, event): (usize, &HostedTagEvent)| TagMoved {
        at: show_time(event.happened_at),
        by: event.principal.clone(),
        how: event.cause.as_str().to_owned(),
        promotion: event.promotion.as_ref().map(ToString::to_string),
        from: text(events.get(at + 1).map(|before| &before.digest)),
        to: text(Some(&event.digest)),
    };
    events.iter().enumerate().take(limit as usize).map(moved).collect()
}

pub(super) fn of_proxy(events: &[TagEvent], limit: u32) -> Vec<TagMoved> {
    let moved = |(at, event): (usize, &TagEvent)| TagMoved {
        at: show_time(event.observed_at),
        by: event.upstream.clone(),
        how: "upstream".to_owned(),
        promotion: None,
        from: text(events.get(at + 1).map(|before| &before.digest)),
        to: text(Some(&event.digest)),
    };
    events.iter().enumerate().take(limit as usize).map(moved).collect()
}
