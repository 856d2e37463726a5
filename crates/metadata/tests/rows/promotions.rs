//! Promotions as rows: what is copied, what is noted as brought, and what taking one back leaves alone.

use std::time::{Duration, SystemTime};

use metadata::{
    Condemned, Copied, GarbageKind, Metadata, NewManifest, NewPromotion, PromotionId, PromotionRefused, PromotionRow,
    PromotionState, Rehearsal, RevertRefused, TagCause, TagMove, TagRefused, Tagged,
};
use oci::{Digest, ManifestFacts, RepoKey, RepositoryName, Tag};

use crate::fixture::{Fixture, digest, parse};

struct Rows {
    _fixture: Fixture,
    metadata: Metadata,
    name: RepositoryName,
}

fn never(_: &Tag) -> bool {
    false
}

impl Rows {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let metadata = fixture.open().await;
        Self { _fixture: fixture, metadata, name: parse("app") }
    }

    async fn blob(&self, repo: &str, of: &str) -> Digest {
        let digest = digest(of);
        self.metadata
            .link_hosted_blob(&parse(repo), &self.name, (&digest, 5), None, std::time::SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        digest
    }

    /// Pushes an index of `children`, each of 5 bytes, that may name a subject.
    async fn push(&self, repo: &str, of: &str, children: &[Digest], subject: Option<&Digest>, tags: &[&str]) -> Digest {
        let kind = "application/vnd.oci.image.index.v1+json";
        // Of a type that blobs and manifests alike may be listed as.
        let part = "application/vnd.example.part";
        let descriptor = |digest: &Digest| format!(r#"{{"mediaType":"{part}","digest":"{digest}","size":5}}"#);
        let children: Vec<String> = children.iter().map(descriptor).collect();
        let subject = subject.map(|subject| format!(r#","subject":{}"#, descriptor(subject))).unwrap_or_default();
        let text = format!(r#"{{"mediaType":"{kind}","manifests":[{}]{subject}}}"#, children.join(","));
        let (digest, tags) = (digest(of), tags.iter().map(|tag| parse(tag)).collect::<Vec<Tag>>());
        let facts = ManifestFacts::parse(text.as_bytes(), None).unwrap();
        let referrer = facts.subject.is_some().then(|| (String::from("{}"), None));
        let (repo, name) = (parse(repo), &self.name);
        let manifest = NewManifest {
            repo: &repo,
            name,
            digest: &digest,
            size: 5,
            facts: &facts,
            referrer,
            tags: &tags,
            principal: "admin",
            leased_until: std::time::SystemTime::UNIX_EPOCH,
        };
        self.metadata.push_manifest(&manifest, &never).await.unwrap().unwrap();
        digest
    }

    async fn promote(&self, id: &str, of: &str, tag: &str, rehearsal: Rehearsal) -> Result<Copied, PromotionRefused> {
        let (dev, prod): (RepoKey, RepoKey) = (parse("dev"), parse("prod"));
        let promotion = NewPromotion {
            id: &id.parse().unwrap(),
            from: (&dev, &self.name),
            from_reference: "1",
            to: (&prod, &self.name),
            tag: &parse(tag),
            digest: &digest(of),
            principal: "admin",
            workflow: None,
            rules: "[]",
        };
        self.metadata.promote(&promotion, rehearsal, &never).await.unwrap()
    }

    async fn revert(&self, id: &str) -> Result<(usize, usize), RevertRefused> {
        let id: PromotionId = id.parse().unwrap();
        let reverted = self.metadata.revert_promotion(&id, "admin", &never, &never).await.unwrap();
        reverted.map(|reverted| (reverted.manifests.len(), reverted.blobs.len()))
    }

    async fn tag(&self, tag: &str) -> Option<Digest> {
        let row = self.metadata.find_hosted_tag(&parse("prod"), &self.name, &parse(tag)).await.unwrap();
        row.map(|row| row.digest)
    }

    async fn untag(&self, tag: &str) {
        let place = (&parse("prod"), &self.name);
        self.metadata.delete_hosted_tag(place, &parse(tag), "admin", &never).await.unwrap().unwrap();
    }

    async fn has(&self, of: &str) -> bool {
        let prod = parse("prod");
        let manifest = self.metadata.find_hosted_manifest(&prod, &self.name, &digest(of)).await.unwrap();
        manifest.is_some() || self.metadata.find_hosted_blob(&prod, &self.name, &digest(of)).await.unwrap().is_some()
    }
}

/// Rows tell times apart by the millisecond.
async fn a_moment_later() {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let before = now();
    while now() == before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_promotions_that_share_content_are_taken_back_without_hurting_each_other() {
    let rows = Rows::new().await;
    let (shared, own) = (rows.blob("dev", "shared").await, rows.blob("dev", "own").await);
    let child = rows.push("dev", "child", &[shared], None, &[]).await;
    rows.push("dev", "first", &[child, own], None, &[]).await;
    let second = rows.push("dev", "second", &[child], None, &[]).await;
    rows.push("dev", "signature", &[], Some(&second), &[]).await;
    let copied = rows.promote("a", "first", "1", Rehearsal::No).await.unwrap();
    assert_eq!((copied.manifests, copied.brought_blobs.len()), (2, 2));
    let copied = rows.promote("b", "second", "2", Rehearsal::No).await.unwrap();
    assert_eq!((copied.manifests, copied.brought_manifests.len(), copied.brought_blobs.len()), (3, 2, 0));
    assert_eq!(rows.revert("a").await, Ok((1, 1)), "the first index and the blob of its own");
    for (of, there) in [("first", false), ("own", false), ("child", true), ("shared", true), ("signature", true)] {
        assert_eq!(rows.has(of).await, there, "{of}");
    }
    assert_eq!(rows.revert("b").await, Ok((2, 0)), "what the first brought is nobody's to take any more");
    assert!(rows.has("child").await && !rows.has("second").await && !rows.has("signature").await);
    assert_eq!(rows.revert("b").await, Err(RevertRefused::NotDone(PromotionState::Reverted)));
}

#[tokio::test]
async fn what_was_pushed_since_or_is_tagged_stays() {
    let rows = Rows::new().await;
    let layer = rows.blob("dev", "layer").await;
    rows.push("dev", "image", &[layer], None, &[]).await;
    rows.promote("a", "image", "1", Rehearsal::No).await.unwrap();
    a_moment_later().await;
    rows.blob("prod", "layer").await;
    rows.push("prod", "image", &[layer], None, &[]).await;
    assert_eq!(rows.revert("a").await, Ok((0, 0)), "somebody pushed it, too");
    assert!(rows.has("image").await && rows.has("layer").await);
    rows.push("dev", "other", &[layer], None, &[]).await;
    rows.promote("b", "other", "1", Rehearsal::No).await.unwrap();
    rows.promote("c", "other", "2", Rehearsal::No).await.unwrap();
    assert_eq!(rows.revert("b").await, Ok((0, 0)), "tag 2 has it");
    assert!(rows.has("other").await);
}

#[tokio::test]
async fn a_rehearsal_and_a_refusal_leave_nothing() {
    let rows = Rows::new().await;
    let layer = rows.blob("dev", "layer").await;
    rows.push("dev", "image", &[layer], None, &[]).await;
    let tried = rows.promote("a", "image", "1", Rehearsal::Only).await.unwrap();
    assert_eq!((tried.brought_manifests.len(), tried.tags.len()), (1, 1));
    assert!(!rows.has("image").await && !rows.has("layer").await);
    assert!(rows.metadata.find_promotion(&"a".parse().unwrap()).await.unwrap().is_none());
    // The source lost a layer.
    let place = (&parse("dev"), &rows.name);
    rows.metadata.delete_hosted_blob(place, &layer, &never).await.unwrap().unwrap();
    let refused = rows.promote("a", "image", "1", Rehearsal::No).await;
    assert!(matches!(refused, Err(PromotionRefused::Incomplete { digest, .. }) if digest == layer), "{refused:?}");
    assert!(!rows.has("image").await);
    let missing = rows.promote("a", "nothing", "1", Rehearsal::No).await;
    assert!(matches!(missing, Err(PromotionRefused::NotThere { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_tag_is_set_only_as_it_was_seen_and_only_to_what_is_there() {
    let rows = Rows::new().await;
    let (one, two) = (rows.push("dev", "one", &[], None, &["t"]).await, rows.push("dev", "two", &[], None, &[]).await);
    let (repo, tag) = (parse("dev"), parse("t"));
    let set = async |to: &str, seen: &Digest| {
        let by = TagMove::new("admin", TagCause::Rollback);
        rows.metadata.set_hosted_tag((&repo, &rows.name, &tag), &digest(to), Some(seen), by, &never).await.unwrap()
    };
    assert_eq!(set("two", &two).await, Err(TagRefused::MovedMeanwhile));
    assert_eq!(set("nothing", &one).await, Err(TagRefused::NotThere(digest("nothing"))));
    assert_eq!(set("two", &one).await, Ok(Tagged::Moved(Some(one))));
    assert_eq!(set("two", &two).await, Ok(Tagged::Already));
    let events = rows.metadata.hosted_tag_history(&repo, &rows.name, &tag, 10).await.unwrap();
    let causes: Vec<_> = events.iter().map(|event| (event.digest, event.cause)).collect();
    assert_eq!(causes, [(Some(two), TagCause::Rollback), (Some(one), TagCause::Push)]);
    let deleted = rows.metadata.delete_hosted_tag((&repo, &rows.name), &tag, "admin", &never).await;
    deleted.unwrap().unwrap();
    let unhandled = rows.metadata.unhandled_tag_events(10).await.unwrap();
    assert_eq!(unhandled.len(), 3);
    rows.metadata.tag_events_handled(unhandled[1].id).await.unwrap();
    assert_eq!(rows.metadata.unhandled_tag_events(10).await.unwrap(), unhandled[2..]);
}

#[tokio::test]
async fn what_somebody_was_told_of_stays_and_no_verdict_stays_behind() {
    let rows = Rows::new().await;
    let (told, other) = (rows.blob("dev", "told").await, rows.blob("dev", "other").await);
    rows.push("dev", "image", &[told, other], None, &[]).await;
    rows.promote("a", "image", "1", Rehearsal::No).await.unwrap();
    let (prod, until) = (parse("prod"), SystemTime::now() + Duration::from_hours(1));
    rows.metadata.renew_lease(GarbageKind::Link, (&prod, &rows.name), &told, until).await.unwrap();
    assert_eq!(rows.revert("a").await, Ok((1, 1)), "the lease holds the one");
    assert!(rows.has("told").await && !rows.has("other").await && !rows.has("image").await);
    // What is pushed now needs it, and finds it.
    rows.push("prod", "theirs", &[told], None, &["t"]).await;

    // A verdict of before must not meet what is promoted again.
    let verdict = Condemned { at: SystemTime::now() + Duration::from_hours(2), run: 1 };
    let manifest = rows.push("prod", "image", &[told], None, &[]).await;
    let condemned = rows.metadata.condemn(GarbageKind::Manifest, &prod, &[(&rows.name, &manifest)], verdict).await;
    assert_eq!(condemned.unwrap(), 1);
    rows.promote("b", "image", "2", Rehearsal::No).await.unwrap();
    let held = rows.metadata.list_held_parts(GarbageKind::Manifest, &prod, None, 10).await.unwrap();
    assert!(held.iter().all(|part| part.condemned.is_none()), "{held:?}");
}

#[tokio::test]
async fn a_tag_that_was_pushed_since_goes_back_only_by_force() {
    let rows = Rows::new().await;
    rows.push("dev", "image", &[], None, &[]).await;
    for again in ["elsewhere and back", "the same"] {
        rows.promote(&again.replace(' ', "-"), "image", "1", Rehearsal::No).await.unwrap();
        a_moment_later().await;
        if again != "the same" {
            rows.push("prod", "other", &[], None, &["1"]).await;
        }
        rows.push("prod", "image", &[], None, &["1"]).await;
        let refused = rows.revert(&again.replace(' ', "-")).await;
        assert!(matches!(&refused, Err(RevertRefused::Moved { now, .. }) if *now == Some(digest("image"))), "{again}");
        assert_eq!(rows.tag("1").await, Some(digest("image")), "{again}");
        rows.untag("1").await;
    }
}

#[tokio::test]
async fn promotions_are_taken_back_one_after_the_other() {
    let rows = Rows::new().await;
    for (id, of) in [("a", "first"), ("b", "second"), ("c", "third")] {
        rows.push("dev", of, &[], None, &[]).await;
        rows.promote(id, of, "1", Rehearsal::No).await.unwrap();
    }
    assert!(matches!(rows.revert("b").await, Err(RevertRefused::Moved { .. })), "not out of turn");
    for (id, then) in [("c", Some("second")), ("b", Some("first")), ("a", None)] {
        assert_eq!(rows.revert(id).await, Ok((1, 0)), "{id}");
        assert_eq!(rows.tag("1").await, then.map(digest), "{id}");
    }
}

#[tokio::test]
async fn what_was_signed_at_the_target_since_keeps_its_subject() {
    let rows = Rows::new().await;
    let layer = rows.blob("dev", "layer").await;
    let image = rows.push("dev", "image", &[layer], None, &[]).await;
    rows.push("dev", "theirs", &[], Some(&image), &[]).await;
    rows.promote("a", "image", "1", Rehearsal::No).await.unwrap();
    rows.push("prod", "ours", &[], Some(&image), &[]).await;
    assert_eq!(rows.revert("a").await, Ok((0, 0)));
    assert_eq!(rows.tag("1").await, None, "the tag went back");
    for of in ["image", "layer", "theirs", "ours"] {
        assert!(rows.has(of).await, "{of}");
    }
}

#[tokio::test]
async fn signatures_of_the_target_stay_as_they_are() {
    let rows = Rows::new().await;
    let image = rows.push("dev", "image", &[], None, &[]).await;
    let signature = format!("sha256-{}.sig", image.hex());
    rows.push("dev", "first", &[], None, &[&signature]).await;
    rows.promote("a", "image", "1", Rehearsal::No).await.unwrap();
    rows.push("dev", "second", &[], None, &[&signature]).await;
    let copied = rows.promote("b", "image", "1", Rehearsal::No).await.unwrap();
    assert_eq!((rows.tag(&signature).await, copied.left), (Some(digest("second")), vec![]), "renewed from the source");
    rows.push("prod", "ours", &[], None, &[&signature]).await;
    let copied = rows.promote("c", "image", "1", Rehearsal::No).await.unwrap();
    assert_eq!((rows.tag(&signature).await, &copied.left), (Some(digest("ours")), &vec![parse(&signature)]));
    assert!(copied.changed_nothing());
}

#[tokio::test]
async fn what_waits_comes_in_pages() {
    let rows = Rows::new().await;
    let (dev, prod): (RepoKey, RepoKey) = (parse("dev"), parse("prod"));
    for id in ["a", "b", "c"] {
        let promotion = NewPromotion {
            id: &parse(id),
            from: (&dev, &rows.name),
            from_reference: "1",
            to: (&prod, &rows.name),
            tag: &parse("1"),
            digest: &digest(id),
            principal: "workflow",
            workflow: None,
            rules: "[]",
        };
        let row = PromotionRow::new(&promotion, PromotionState::Waiting, SystemTime::now());
        rows.metadata.note_promotion(&row).await.unwrap();
    }
    let page = async |after: Option<&str>| {
        let after = after.map(parse::<PromotionId>);
        let rows = rows.metadata.waiting_promotions(after.as_ref(), 2).await.unwrap();
        rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (page(None).await.as_str(), page(Some("b")).await.as_str(), page(Some("c")).await.as_str()),
        ("a b", "c", "")
    );
}
