//! Tags: the newest question's answer stands, and every change is remembered.

use metadata::{Metadata, TagEvent, TagGone, TagObservation, TagRow};
use oci::{MediaType, RepoKey, RepositoryName, Tag};

use crate::fixture::{Fixture, at, digest, parse};

/// `hub`'s `library/debian:latest` was seen at `of`.
pub(crate) fn observation(of: &str, seconds: u64, sequence: u64) -> Observation {
    Observation(TagObservation {
        repo: parse("hub"),
        name: parse("library/debian"),
        tag: parse("latest"),
        digest: digest(of),
        media_type: MediaType::OCI_IMAGE_INDEX,
        upstream: "registry.example".into(),
        observed_at: at(seconds),
        sequence,
    })
}

pub(crate) struct Observation(TagObservation);

impl Observation {
    pub(crate) fn of(mut self, repo: &RepoKey) -> TagObservation {
        self.0.repo = repo.clone();
        self.0
    }

    fn tagged(mut self, tag: &str) -> TagObservation {
        self.0.tag = parse(tag);
        self.0
    }
}

impl From<Observation> for TagObservation {
    fn from(observation: Observation) -> Self {
        observation.0
    }
}

fn gone(seconds: u64, sequence: u64) -> TagGone {
    let TagObservation { repo, name, tag, upstream, observed_at, sequence, .. } =
        observation("", seconds, sequence).into();
    TagGone { repo, name, tag, upstream, observed_at, sequence }
}

async fn observe(metadata: &Metadata, of: &str, seconds: u64, sequence: u64) -> bool {
    metadata.observe_tag(observation(of, seconds, sequence).into()).await.unwrap()
}

fn place() -> (RepoKey, RepositoryName, Tag) {
    (parse("hub"), parse("library/debian"), parse("latest"))
}

async fn row(metadata: &Metadata) -> Option<TagRow> {
    let (repo, name, tag) = place();
    metadata.find_tag(&repo, &name, &tag).await.unwrap()
}

async fn history(metadata: &Metadata, limit: u32) -> Vec<TagEvent> {
    let (repo, name, tag) = place();
    metadata.tag_history(&repo, &name, &tag, limit).await.unwrap()
}

fn event(of: Option<&str>, seconds: u64) -> TagEvent {
    TagEvent { digest: of.map(digest), observed_at: at(seconds), upstream: "registry.example".into() }
}

#[tokio::test]
async fn a_move_is_news_and_a_confirmation_is_not() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    assert!(observe(&metadata, "old", 1, 1).await);
    assert!(!observe(&metadata, "old", 2, 2).await);
    let confirmed = row(&metadata).await.unwrap();
    assert_eq!((confirmed.checked_at, confirmed.changed_at), (at(2), at(1)));
    assert!(observe(&metadata, "new", 3, 3).await);
    let expected =
        TagRow { digest: digest("new"), media_type: MediaType::OCI_IMAGE_INDEX, checked_at: at(3), changed_at: at(3) };
    assert_eq!(row(&metadata).await, Some(expected));
    assert_eq!(history(&metadata, 10).await, [event(Some("new"), 3), event(Some("old"), 1)]);
    assert_eq!(history(&metadata, 1).await, [event(Some("new"), 3)]);
}

#[tokio::test]
async fn an_answer_to_an_older_question_changes_nothing() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    observe(&metadata, "new", 5, 2).await;
    let before = row(&metadata).await;
    assert!(!observe(&metadata, "old", 9, 1).await);
    assert!(!metadata.delete_tag(gone(9, 1)).await.unwrap());
    assert_eq!(row(&metadata).await, before);
    assert_eq!(history(&metadata, 10).await, [event(Some("new"), 5)]);
}

#[tokio::test]
async fn a_gone_tag_stays_gone_for_older_answers_and_can_come_back() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (repo, name, _) = place();
    observe(&metadata, "old", 1, 1).await;
    assert!(metadata.delete_tag(gone(3, 3)).await.unwrap());
    assert!(!metadata.delete_tag(gone(4, 4)).await.unwrap(), "gone twice is not news");
    assert!(!observe(&metadata, "old", 9, 2).await);
    assert_eq!(row(&metadata).await, None);
    assert_eq!(metadata.list_tags(&repo, &name).await.unwrap(), []);
    assert!(observe(&metadata, "old", 10, 5).await, "back with the same digest is news");
    assert_eq!(row(&metadata).await.unwrap().changed_at, at(10));
    assert_eq!(history(&metadata, 10).await, [event(Some("old"), 10), event(None, 3), event(Some("old"), 1)]);
}

#[tokio::test]
async fn a_tag_never_known_leaves_no_trace_when_it_is_not_there() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    assert!(!metadata.delete_tag(gone(1, 1)).await.unwrap());
    assert_eq!(history(&metadata, 10).await, []);
}

#[tokio::test]
async fn sequences_may_start_anew_with_each_process() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    observe(&metadata, "old", 1, 1_000).await;
    metadata.close().await;
    let metadata = fixture.open().await;
    assert!(observe(&metadata, "new", 2, 1).await);
    assert_eq!(row(&metadata).await.unwrap().digest, digest("new"));
    assert!(metadata.delete_tag(gone(3, 2)).await.unwrap());
}

#[tokio::test]
async fn touching_confirms_only_what_the_tag_still_points_to() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (repo, name, tag) = place();
    observe(&metadata, "new", 1, 1).await;
    assert!(!metadata.touch_tag(&repo, &name, &tag, &digest("old"), at(8)).await.unwrap());
    assert_eq!(row(&metadata).await.unwrap().checked_at, at(1));
    assert!(metadata.touch_tag(&repo, &name, &tag, &digest("new"), at(9)).await.unwrap());
    let touched = row(&metadata).await.unwrap();
    assert_eq!((touched.checked_at, touched.changed_at), (at(9), at(1)));
    metadata.delete_tag(gone(10, 2)).await.unwrap();
    assert!(!metadata.touch_tag(&repo, &name, &tag, &digest("new"), at(11)).await.unwrap());
    assert_eq!(row(&metadata).await, None);
}

#[tokio::test]
async fn tags_are_listed_by_bytes_for_one_name_only() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    for tag in ["b", "a", "B", "_x", "1.10", "1.9", "a-b"] {
        metadata.observe_tag(observation("one", 1, 1).tagged(tag)).await.unwrap();
    }
    metadata.observe_tag(observation("one", 1, 1).of(&parse("other"))).await.unwrap();
    let tags = metadata.list_tags(&parse("hub"), &parse("library/debian")).await.unwrap();
    let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    assert_eq!(tags, ["1.10", "1.9", "B", "_x", "a", "a-b", "b"]);
    assert_eq!(metadata.list_tags(&parse("hub"), &parse("library/debia")).await.unwrap(), []);
}

#[tokio::test]
async fn the_history_of_a_restless_tag_is_bounded() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    for step in 0..1_010 {
        observe(&metadata, if step % 2 == 0 { "even" } else { "odd" }, step, step).await;
    }
    let history = history(&metadata, u32::MAX).await;
    assert_eq!(history.len(), 1_000);
    assert_eq!(history[0], event(Some("odd"), 1_009));
    assert_eq!(history[999], event(Some("even"), 10));
}

#[tokio::test]
async fn a_sequence_beyond_the_column_is_refused_before_anything_is_written() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let refused = metadata.observe_tag(observation("one", 1, u64::MAX).into()).await.unwrap_err();
    assert!(refused.to_string().contains("18446744073709551615"), "{refused}");
    assert_eq!(row(&metadata).await, None);
}
