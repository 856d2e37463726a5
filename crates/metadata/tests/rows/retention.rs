//! Retention as rows: a tag goes as it was seen when that was decided, or it stays.

use std::time::{Duration, SystemTime};

use metadata::{Pull, PullsMatter, TagCause, TagFacts, TagMove, TagRules};
use oci::Tag;

use crate::fixture::parse;
use crate::hosted::Rows;

/// `stable` is a channel over `v…`.
struct Stable;

impl TagRules for Stable {
    fn is_immutable(&self, tag: &Tag) -> bool {
        tag.as_str().starts_with('v')
    }

    fn is_channel(&self, tag: &Tag) -> bool {
        tag.as_str() == "stable"
    }

    fn is_version_of(&self, channel: &Tag, other: &Tag) -> bool {
        self.is_channel(channel) && self.is_immutable(other)
    }
}

impl Rows {
    async fn facts(&self, tag: &str) -> TagFacts {
        let all = self.metadata.hosted_tag_facts(&self.repo, ("", ""), 10).await.unwrap();
        all.into_iter().find(|facts| facts.tag.as_str() == tag).unwrap()
    }

    async fn expire(&self, seen: &TagFacts, pulls: PullsMatter) -> bool {
        let how = (pulls, TagMove::new("retention", TagCause::Retention));
        self.metadata.expire_hosted_tag(&self.repo, seen, how, &Stable).await.unwrap()
    }

    async fn is_there(&self, tag: &str) -> bool {
        self.metadata.find_hosted_tag(&self.repo, &self.name, &parse(tag)).await.unwrap().is_some()
    }
}

/// Times have whole milliseconds.
async fn a_moment() {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let then = now();
    while now() == then {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tag_whose_push_was_acknowledged_since_it_was_seen_stays() {
    let rows = Rows::new().await;
    rows.index("one", &[], &["t"]).await.unwrap();
    let seen = rows.facts("t").await;
    a_moment().await;
    rows.index("one", &[], &["t"]).await.unwrap();
    assert!(!rows.expire(&seen, PullsMatter::No).await, "pushing the same again counts");
    assert!(rows.is_there("t").await);
    let again = rows.facts("t").await;
    rows.index("two", &[], &["t"]).await.unwrap();
    assert!(!rows.expire(&again, PullsMatter::No).await, "it moved");
    assert!(rows.is_there("t").await);
    assert!(rows.expire(&rows.facts("t").await, PullsMatter::No).await);
    assert!(!rows.is_there("t").await);
    assert!(!rows.expire(&again, PullsMatter::No).await, "it is gone");
}

#[tokio::test]
async fn a_pull_since_it_was_seen_keeps_a_tag_where_pulls_matter() {
    let rows = Rows::new().await;
    let digest = rows.index("one", &[], &["t"]).await.unwrap();
    let seen = rows.facts("t").await;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let pull = Pull { repo: rows.repo.clone(), name: rows.name.clone(), digest, at };
    rows.metadata.note_pulls(&[pull]).await.unwrap();
    assert!(!rows.expire(&seen, PullsMatter::Yes).await);
    assert!(rows.is_there("t").await);
    assert!(rows.expire(&seen, PullsMatter::No).await);
}

#[tokio::test]
async fn a_version_that_a_channel_has_come_to_stand_on_stays() {
    let rows = Rows::new().await;
    rows.index("one", &[], &["v1", "also"]).await.unwrap();
    let (seen, also) = (rows.facts("v1").await, rows.facts("also").await);
    rows.index("one", &[], &["stable"]).await.unwrap();
    assert!(!rows.expire(&seen, PullsMatter::No).await);
    assert!(rows.is_there("v1").await);
    assert!(rows.expire(&also, PullsMatter::No).await, "the channel is not over this one");
    assert!(rows.expire(&rows.facts("stable").await, PullsMatter::No).await);
    assert!(rows.expire(&seen, PullsMatter::No).await, "nothing stands on it any more");
}
