//! What a collector sees, condemns and takes away, and what keeps it from it.

use std::time::{Duration, SystemTime};

use metadata::{Condemned, GarbageKind, HeldPart, MountFrom, TagCause, TagMove};
use oci::{Digest, RepositoryName, Tag};

use crate::fixture::parse;
use crate::hosted::Rows;

const LINK: GarbageKind = GarbageKind::Link;
const MANIFEST: GarbageKind = GarbageKind::Manifest;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Rows {
    async fn held(&self, kind: GarbageKind) -> Vec<HeldPart> {
        self.metadata.list_held_parts(kind, &self.repo, None, 100).await.unwrap()
    }

    async fn part(&self, kind: GarbageKind, digest: &Digest) -> HeldPart {
        let held = self.held(kind).await;
        held.into_iter().find(|part| part.digest == *digest && part.name == self.name).unwrap()
    }

    async fn condemn(&self, kind: GarbageKind, digest: &Digest, verdict: Condemned) -> u64 {
        self.metadata.condemn(kind, &self.repo, &[(&self.name, digest)], verdict).await.unwrap()
    }

    async fn collect(&self, kind: GarbageKind, digest: &Digest, verdict: Condemned) -> bool {
        let parts = [(&self.name, digest, verdict)];
        self.metadata.collect(kind, &self.repo, &parts, at(1000)).await.unwrap() == [true]
    }
}

#[tokio::test]
async fn what_nothing_needs_is_condemned_and_then_goes() {
    let rows = Rows::new().await;
    let (needed, loose) = (rows.blob("needed").await, rows.blob("loose").await);
    let index = rows.index("index", &[needed], &["latest"]).await.unwrap();
    let needs: Vec<_> = rows.held(LINK).await.into_iter().map(|part| (part.digest, part.needed)).collect();
    assert!(needs.contains(&(needed, true)) && needs.contains(&(loose, false)) && needs.len() == 2, "{needs:?}");
    let verdict = Condemned { at: at(10), run: 1 };
    assert_eq!((rows.condemn(LINK, &needed, verdict).await, rows.condemn(LINK, &loose, verdict).await), (0, 1));
    assert_eq!(rows.part(LINK, &loose).await.condemned, Some(verdict));
    assert_eq!(rows.condemn(LINK, &loose, Condemned { at: at(20), run: 2 }).await, 0, "once");
    assert!(!rows.collect(LINK, &needed, verdict).await && rows.collect(LINK, &loose, verdict).await);
    assert!(rows.metadata.forget_hosted_blob(&loose).await.unwrap());
    assert_eq!(rows.held(LINK).await.len(), 1);
    // Links of what a deleted manifest needed are unneeded from then on.
    rows.delete(&index).await.unwrap();
    assert!(!rows.part(LINK, &needed).await.needed);
}

#[tokio::test]
async fn whoever_touches_what_is_condemned_saves_it() {
    let rows = Rows::new().await;
    let blob = rows.blob("blob").await;
    let verdict = Condemned { at: at(10), run: 1 };
    let other: RepositoryName = parse("other");
    for touch in ["a push", "a mount", "a lease", "a manifest", "a manifest that went again"] {
        assert_eq!(rows.condemn(LINK, &blob, verdict).await, 1, "{touch}");
        match touch {
            "a push" => drop(rows.blob("blob").await),
            "a mount" => {
                let (from, far) = (MountFrom::Name(&rows.repo, &rows.name), at(0));
                rows.metadata.mount_hosted_blob(&rows.repo, &other, &blob, from, far).await.unwrap();
                let back = MountFrom::Name(&rows.repo, &other);
                rows.metadata.mount_hosted_blob(&rows.repo, &rows.name, &blob, back, far).await.unwrap();
            }
            "a lease" => {
                assert!(rows.metadata.renew_lease(LINK, (&rows.repo, &rows.name), &blob, at(5)).await.unwrap());
            }
            _ => {
                let index = rows.index("index", &[blob], &[]).await.unwrap();
                if touch == "a manifest" {
                    assert!(!rows.collect(LINK, &blob, verdict).await);
                }
                rows.delete(&index).await.unwrap();
            }
        }
        assert_eq!(rows.part(LINK, &blob).await.condemned, None, "{touch}");
        assert!(!rows.collect(LINK, &blob, verdict).await, "{touch}");
    }
}

#[tokio::test]
async fn a_lease_and_another_run_hold_a_collector_off() {
    let rows = Rows::new().await;
    let blob = rows.blob("blob").await;
    let place = (&rows.repo, &rows.name);
    assert!(rows.metadata.renew_lease(LINK, place, &blob, at(2000)).await.unwrap());
    assert!(rows.metadata.renew_lease(LINK, place, &blob, at(50)).await.unwrap());
    assert_eq!(rows.part(LINK, &blob).await.leased_until, at(2000), "a shorter one does not end a longer one");
    assert_eq!(rows.condemn(LINK, &blob, Condemned { at: at(1999), run: 1 }).await, 0);
    rows.metadata.pardon(LINK, &rows.repo, &[(&rows.name, &blob)], at(100)).await.unwrap();
    let (first, second) = (Condemned { at: at(200), run: 1 }, Condemned { at: at(200), run: 2 });
    assert_eq!(rows.condemn(LINK, &blob, first).await, 1);
    assert!(!rows.collect(LINK, &blob, second).await, "another run's verdict");
    assert_eq!(rows.part(LINK, &blob).await.condemned, None, "what was tried and failed begins anew");
    let gone = Digest::sha256_of(b"gone");
    assert!(!rows.metadata.renew_lease(LINK, place, &gone, at(5)).await.unwrap());
    rows.condemn(LINK, &blob, first).await;
    rows.metadata.hold_everything(at(3000)).await.unwrap();
    let held = rows.part(LINK, &blob).await;
    assert_eq!((held.condemned, held.leased_until), (None, at(3000)));
}

#[tokio::test]
async fn everything_is_held_in_steps_and_nothing_is_left_out() {
    let rows = Rows::new().await;
    // Steps are of 500: one that ends there, and one that does not.
    for count in [500, 1001] {
        for number in 0..count {
            let digest = Digest::sha256_of(format!("{number}").as_bytes());
            let (repo, name) = (&rows.repo, &rows.name);
            rows.metadata.link_hosted_blob(repo, name, (&digest, 1), None, at(1)).await.unwrap();
        }
        rows.metadata.hold_everything(at(count)).await.unwrap();
        let held = rows.metadata.list_held_parts(LINK, &rows.repo, None, 2000).await.unwrap();
        let all = held.iter().filter(|part| part.leased_until == at(count)).count() as u64;
        assert_eq!((held.len() as u64, all), (count, count));
    }
}

#[tokio::test]
async fn untagged_manifests_are_told_apart() {
    let rows = Rows::new().await;
    let child = rows.index("child", &[], &[]).await.unwrap();
    let top = rows.index("top", &[child], &["v1"]).await.unwrap();
    let loose = rows.index("loose", &[], &[]).await.unwrap();
    for (digest, needed) in [(child, true), (top, true), (loose, false)] {
        assert_eq!(rows.part(MANIFEST, &digest).await.needed, needed, "{digest}");
    }
    let verdict = Condemned { at: at(10), run: 1 };
    for (digest, condemned) in [(child, 0), (top, 0), (loose, 1)] {
        assert_eq!(rows.condemn(MANIFEST, &digest, verdict).await, condemned, "{digest}");
    }
    rows.index("loose", &[], &["next"]).await.unwrap();
    assert!(!rows.collect(MANIFEST, &loose, verdict).await, "tagged meanwhile");
    let (repo, name) = (&rows.repo, &rows.name);
    rows.metadata.delete_hosted_tag((repo, name), &parse("next"), "admin", &|_| false).await.unwrap().unwrap();
    assert_eq!(rows.condemn(MANIFEST, &loose, verdict).await, 1);
    rows.metadata.pardon_manifests(repo).await.unwrap();
    assert_eq!(rows.part(MANIFEST, &loose).await.condemned, None);
    assert_eq!(rows.condemn(MANIFEST, &loose, verdict).await, 1);
    assert!(rows.collect(MANIFEST, &loose, verdict).await);
    assert!(rows.metadata.find_hosted_manifest(repo, name, &loose).await.unwrap().is_none());
    assert_eq!(rows.metadata.count_holders(&child).await.unwrap(), 1);
}

#[tokio::test]
async fn a_page_begins_behind_the_last_of_the_one_before() {
    let rows = Rows::new().await;
    for of in ["a", "b", "c", "d", "e"] {
        rows.blob(of).await;
    }
    let (mut seen, mut last) = (Vec::new(), None);
    loop {
        let after = last.as_ref().map(|part: &HeldPart| (&part.name, &part.digest));
        let page = rows.metadata.list_held_parts(LINK, &rows.repo, after, 2).await.unwrap();
        let Some(end) = page.last().cloned() else { break };
        seen.extend(page.into_iter().map(|part| part.digest));
        last = Some(end);
    }
    assert_eq!(seen, rows.held(LINK).await.into_iter().map(|part| part.digest).collect::<Vec<_>>());
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn a_tag_that_is_put_back_saves_what_it_points_to() {
    let rows = Rows::new().await;
    let (repo, name, tag) = (&rows.repo, &rows.name, parse("t"));
    let one = rows.index("one", &[], &["t"]).await.unwrap();
    let two = rows.index("two", &[], &["t"]).await.unwrap();
    let verdict = Condemned { at: at(10), run: 1 };
    assert_eq!(rows.condemn(MANIFEST, &one, verdict).await, 1);
    let by = TagMove::new("admin", TagCause::Rollback);
    let put_back = rows.metadata.set_hosted_tag((repo, name, &tag), &one, Some(&two), by, &|_: &Tag| false).await;
    put_back.unwrap().unwrap();
    rows.index("two", &[], &["t"]).await.unwrap();
    assert!(!rows.collect(MANIFEST, &one, verdict).await, "its grace begins anew");
    assert_eq!(rows.part(MANIFEST, &one).await.condemned, None);
    // What was condemned by a program that did not do so is saved by whoever removes the tag.
    assert_eq!(rows.condemn(MANIFEST, &one, verdict).await, 1);
    rows.tamper("UPDATE hosted_tags SET digest = (SELECT digest FROM hosted_condemned)").await;
    rows.metadata.delete_hosted_tag((repo, name), &tag, "admin", &|_| false).await.unwrap().unwrap();
    assert_eq!(rows.part(MANIFEST, &one).await.condemned, None);
}
