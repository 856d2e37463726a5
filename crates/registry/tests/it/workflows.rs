//! What follows pushes, without HTTP: that one push never holds up others, and that nothing is undone when a push is looked
//! at a second time.

use std::time::{Duration, SystemTime};

use metadata::{NewPromotion, PromotionRow};
use oci::{Digest, Tag};
use serde_json::{Value, json};
use transship_registry::{PromotionState, Pusher, Rehearsal, Rollback, Shown};

use crate::harness::eventually_some;
use crate::hosted::{House, image, metadata};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image without layers.
fn labelled(team: &str, number: u32) -> String {
    let config = Digest::sha256_of(b"{}");
    json!({
        "schemaVersion": 2, "mediaType": IMAGE, "layers": [], "annotations": { "team": team, "n": number.to_string() },
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": 2 },
    })
    .to_string()
}

fn from_rel(require: &Value) -> Value {
    json!({ "promote": [{ "from": "rel", "require": require }] })
}

impl House {
    /// Where a tag of `lab/app` points, once it does.
    async fn arrives(&self, tag: &str) -> Digest {
        eventually_some(tag, || self.in_lab(tag)).await
    }

    async fn in_lab(&self, tag: &str) -> Option<Digest> {
        let (repo, name) = ("lab".parse().unwrap(), "app".parse().unwrap());
        let row = self.metadata.find_hosted_tag(&repo, &name, &tag.parse().unwrap()).await.unwrap();
        row.map(|row| row.digest)
    }

    async fn in_state(&self, state: PromotionState) -> Vec<PromotionRow> {
        let filter = metadata::PromotionFilter { state: Some(state), ..Default::default() };
        self.metadata.list_promotions(&filter, 2000).await.unwrap()
    }

    async fn refused(&self, tag: &str) -> String {
        let (tag, look) = (tag.parse::<Tag>().unwrap(), || self.in_state(PromotionState::Refused));
        let found = async || look().await.into_iter().find(|row| row.tag == tag);
        eventually_some("it is refused", found).await.reason.unwrap()
    }

    async fn everything_is_handled(&self) {
        let none_left = async || self.metadata.unhandled_tag_events(1).await.unwrap().is_empty().then_some(());
        eventually_some("everything is handled", none_left).await;
    }
}

#[tokio::test]
async fn an_index_of_a_blob_is_refused_and_what_comes_behind_it_is_promoted() {
    let house = House::with(from_rel(&json!([{ "labelled": { "team": "core" } }]))).await;
    house.push("rel/app", b"{}").await.unwrap();
    let blob = house.push("rel/app", b"no manifest").await.unwrap();
    let listed = json!({ "mediaType": "application/x-anything", "digest": blob.to_string(), "size": 11 });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] }).to_string();
    house.tag_as("rel/app", "odd", INDEX, &index).await;
    let good = house.tag("rel/app", "good", &labelled("core", 1)).await.unwrap();
    assert_eq!(house.arrives("good").await, good);
    assert!(house.refused("odd").await.contains("is no manifest"));
    assert_eq!(house.in_lab("odd").await, None);
}

#[tokio::test]
async fn a_push_that_fails_again_and_again_is_refused_and_those_behind_it_are_promoted() {
    let mut house = House::new().await;
    house.push("rel/app", b"{}").await.unwrap();
    let bad = house.tag("rel/app", "bad", &labelled("core", 1)).await.unwrap();
    let good = house.tag("rel/app", "good", &labelled("core", 2)).await.unwrap();
    house.everything_is_handled().await;
    house.fields = from_rel(&json!([{ "labelled": { "team": "core" } }]));
    let house = house.crash(async |folder| {
        // What stands in the place of the manifest cannot be read, which may be otherwise the next time.
        let hex = bad.hex();
        let file = folder.join("hosted/blobs/sha256").join(&hex[..2]).join(&hex);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let metadata = metadata(folder).await;
        metadata.tag_events_handled(0).await.unwrap();
        metadata.close().await;
    });
    let house = house.await;
    assert_eq!(house.arrives("good").await, good);
    assert!(house.refused("bad").await.contains("promote it by hand once that is mended"));
    house.everything_is_handled().await;
}

#[tokio::test]
async fn a_push_that_is_looked_at_twice_undoes_nothing_that_people_did_since() {
    let house = House::with(json!({
        "promote": [{ "from": "rel" }], "immutable_tags": ["v*"],
        "channels": { "stable": { "over": "v*", "follow": "latest" } },
    }));
    let house = house.await;
    for path in ["rel/app", "lab/app"] {
        house.push(path, b"{}").await.unwrap();
    }
    let first = house.tag("lab/app", "v1.0.0", &labelled("core", 1)).await.unwrap();
    let second = house.tag("lab/app", "v2.0.0", &labelled("core", 2)).await.unwrap();
    let pushed = house.tag("rel/app", "next", &labelled("core", 3)).await.unwrap();
    assert_eq!(house.arrives("next").await, pushed);
    house.everything_is_handled().await;
    assert_eq!(house.in_lab("stable").await, Some(second));

    let fix = house.tag("lab/app", "next", &labelled("core", 4)).await.unwrap();
    let (lab, app, tag) = ("lab".parse().unwrap(), "app".parse().unwrap(), "v1.0.0".parse().unwrap());
    let stable = "stable".parse().unwrap();
    house.registry.channels().set(&lab, &app, (&stable, &tag), Shown::AdminToken).await.unwrap();
    house.everything_is_handled().await;
    house.metadata.tag_events_handled(0).await.unwrap();
    house.tag("rel/app", "last", &labelled("core", 5)).await.unwrap();
    house.arrives("last").await;
    house.everything_is_handled().await;
    assert_eq!(house.in_lab("next").await, Some(fix), "what was pushed to the target since stays");
    assert_eq!(house.in_lab("stable").await, Some(first), "and so does what was set by hand");
    // The next version moves it on, as ever.
    let third = house.tag("lab/app", "v3.0.0", &labelled("core", 6)).await.unwrap();
    eventually_some("it follows", async || house.in_lab("stable").await.filter(|now| *now == third)).await;
}

#[tokio::test]
async fn what_a_tag_is_rolled_back_to_is_promoted_at_once() {
    let house = House::with(json!({ "promote": [{ "from": "rel" }] })).await;
    house.push("rel/app", b"{}").await.unwrap();
    let first = house.tag("rel/app", "next", &labelled("core", 1)).await.unwrap();
    assert_eq!(house.arrives("next").await, first);
    let second = house.tag("rel/app", "next", &labelled("core", 2)).await.unwrap();
    eventually_some("the second", async || house.in_lab("next").await.filter(|now| *now == second)).await;
    house.everything_is_handled().await;
    let (rel, app, tag) = ("rel".parse().unwrap(), "app".parse().unwrap(), "next".parse().unwrap());
    let over_time = house.registry.tags_over_time();
    let back = over_time.rollback(&rel, &app, &tag, Rollback::Steps(1), Shown::AdminToken).await;
    assert!(back.unwrap().changed);
    // Long before the next look at everything, which comes every 30 s.
    let arrived = eventually_some("the first again", async || house.in_lab("next").await.filter(|now| *now == first));
    tokio::time::timeout(Duration::from_secs(15), arrived).await.expect("at once");
}

#[tokio::test]
async fn what_waits_ends_when_somebody_was_faster_or_a_repository_is_gone() {
    let house = House::with(from_rel(&json!(["approved"]))).await;
    house.push("rel/app", b"{}").await.unwrap();
    house.tag("rel/app", "one", &labelled("core", 1)).await.unwrap();
    let waiting = async |many: usize| (house.in_state(PromotionState::Waiting).await.len() == many).then_some(());
    eventually_some("it waits", || waiting(1)).await;
    let row = house.in_state(PromotionState::Waiting).await.remove(0);
    // Nobody approved it when it was promoted by hand, past the workflow: the row of that promotion is all there is.
    let by_hand = NewPromotion {
        id: &"00-by-hand".parse().unwrap(),
        from: (&row.from.0, &row.from.1),
        from_reference: "one",
        to: (&row.to.0, &row.to.1),
        tag: &row.tag,
        digest: &row.digest,
        principal: "admin",
        workflow: None,
        rules: "[]",
    };
    house.metadata.promote(&by_hand, Rehearsal::No, &|_: &Tag| false).await.unwrap().unwrap();
    let gone =
        NewPromotion { id: &"01-gone".parse().unwrap(), from: (&"nowhere".parse().unwrap(), &row.from.1), ..by_hand };
    let gone = PromotionRow::new(&gone, PromotionState::Waiting, SystemTime::now());
    house.metadata.note_promotion(&gone).await.unwrap();
    let image = "rel/app:one".parse().unwrap();
    house.registry.promotions().approve(&image, String::new(), Pusher::Admin).await.unwrap();
    eventually_some("nothing waits", || waiting(0)).await;
    let ended = house.metadata.find_promotion(&row.id).await.unwrap().unwrap();
    assert!(ended.reason.unwrap().contains("00-by-hand brought it meanwhile"));
    assert_eq!(house.in_state(PromotionState::Done).await.len(), 1);
    let ended = house.metadata.find_promotion(&gone.id).await.unwrap().unwrap();
    assert!(ended.reason.unwrap().contains("no hosted repository any more"));
}

#[tokio::test]
async fn a_layer_that_is_not_here_and_need_not_be_is_no_obstacle() {
    let house = House::with(from_rel(&json!([]))).await;
    house.push("rel/app", b"{}").await.unwrap();
    let foreign = Digest::sha256_of(b"foreign");
    let text = image(&[(&foreign, 7)]).replace("image.layer.v1.tar", "image.layer.nondistributable.v1.tar");
    let pushed = house.tag("rel/app", "one", &text).await.unwrap();
    assert_eq!(house.arrives("one").await, pushed);
    // Here by now, it comes along, and is needed there too.
    house.push("rel/app", b"foreign").await.unwrap();
    house.tag("rel/app", "two", &text).await.unwrap();
    house.arrives("two").await;
    assert_eq!(house.read("lab/app", &foreign).await.unwrap(), "foreign");
}
