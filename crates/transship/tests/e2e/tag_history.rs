//! Tags over time end to end: history, `tag@time`, rollback, and repositories where nothing changes.
//!
//! Must not know: how events are kept. Invariant: times are taken from the answers of the server, never from sleeping.

use serde_json::{Value, json};
use testkit::image::Image;

use crate::lab::{Lab, NAME};
use crate::promotion::{Yard, open};

async fn history(yard: &Yard, tag: &str) -> Vec<Value> {
    let path = format!("/api/repos/rel/tags/history?name=team/app&tag={tag}");
    let answer = yard.api("GET", &path, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["moves"].as_array().unwrap().clone()
}

/// Pushes until the clock, which counts milliseconds here, has moved on since the last event of the tag.
async fn push_later(yard: &Yard, tag: &str, image: &Image) {
    let last = history(yard, tag).await[0]["at"].as_str().unwrap().to_owned();
    while registry_now() <= last {
        tokio::task::yield_now().await;
    }
    yard.push("rel/team/app", tag, image).await;
}

fn registry_now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

/// Times that lead nowhere.
async fn assert_told_apart(yard: &Yard) {
    for (at, status, word) in [
        ("2020-01-01T00:00:00Z", 404, "nothing is known of tag 'latest' at 2020"),
        ("2999-01-01T00:00:00Z", 400, "has not come yet"),
        ("2020-13-01T00:00:00Z", 400, "write it in UTC"),
    ] {
        let refused = yard.get(&format!("/v2/rel/team/app/manifests/latest@{at}")).await;
        assert!(refused.status == status && refused.error_messages().contains(word), "{at}: {}", refused.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tags_history_is_told_resolved_at_any_time_and_rolled_back() {
    let mut yard = Yard::start(&json!({ "rel": open(&json!({ "immutable_tags": ["v*"] })) }));
    let images: Vec<Image> = (0..3).map(|seed| Image::small(seed, 1000)).collect();
    yard.push("rel/team/app", "latest", &images[0]).await;
    push_later(&yard, "latest", &images[1]).await;
    push_later(&yard, "latest", &images[2]).await;
    yard.push("rel/team/app", "latest", &images[2]).await;
    let moves = history(&yard, "latest").await;
    assert_eq!(moves.len(), 3, "pushing the same again is no move: {moves:?}");
    let digest = |at: usize| json!(images[at].digest());
    assert_eq!((&moves[0]["from"], &moves[0]["to"], &moves[0]["how"]), (&digest(1), &digest(2), &json!("push")));
    assert_eq!((&moves[2]["from"], &moves[2]["to"], &moves[0]["by"]), (&Value::Null, &digest(0), &json!("anyone")));

    for (moved, image) in moves.iter().rev().zip(&images) {
        let at = moved["at"].as_str().unwrap();
        for at in [at.to_owned(), at.replace(':', "%3A")] {
            let pulled = yard.get(&format!("/v2/rel/team/app/manifests/latest@{at}")).await;
            assert_eq!((pulled.status, pulled.body.as_slice()), (200, &*image.manifest.bytes), "{at}");
            assert!(pulled.header("cache-control").contains("immutable"), "{}", pulled.header("cache-control"));
        }
    }
    assert_told_apart(&yard).await;
    let written = yard.send("PUT", "/v2/rel/team/app/manifests/latest@2020-01-01T00:00:00Z", &[], "{}").await;
    assert_eq!((written.status, written.header("allow")), (405, "GET, HEAD"));

    yard.transship.kill();
    yard.transship.start_again();
    let (code, out, err) = yard.run(&["tag", "rollback", "rel/team/app:latest"]);
    assert!(code == 0 && out.contains(&format!("points to {} again", images[1].digest())), "{out}{err}");
    assert_eq!(yard.digest_of("rel/team/app", "latest").await, Some(images[1].digest().to_string()));
    let first = moves[2]["at"].as_str().unwrap();
    let (code, out, err) = yard.run(&["tag", "rollback", "rel/team/app:latest", "--at", first, "--json"]);
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap()["to"].clone()), (0, digest(0)), "{err}");
    let (code, out, _) = yard.run(&["tag", "history", "rel/team/app:latest"]);
    assert!(code == 0 && out.matches("rollback").count() == 2 && out.contains("admin"), "{out}");
    let (code, out, _) = yard.run(&["tag", "resolve", &format!("rel/team/app:latest@{first}")]);
    assert_eq!((code, out.trim()), (0, &*format!("rel/team/app@{}", images[0].digest())));

    // A deleted tag keeps its history, and can be put back.
    assert_eq!(yard.send("DELETE", "/v2/rel/team/app/manifests/latest", &[], "").await.status, 202);
    let moves = history(&yard, "latest").await;
    assert_eq!((&moves[0]["how"], &moves[0]["to"]), (&json!("delete"), &Value::Null));
    let (code, _, err) = yard.run(&["tag", "rollback", "rel/team/app:latest"]);
    assert_eq!(
        (code, yard.digest_of("rel/team/app", "latest").await),
        (0, Some(images[0].digest().to_string())),
        "{err}"
    );
    // What a tag pointed to may be gone: that is said, and nothing else is served.
    let gone = images[2].digest();
    assert_eq!(yard.send("DELETE", &format!("/v2/rel/team/app/manifests/{gone}"), &[], "").await.status, 202);
    let at = moves.iter().find(|moved| moved["to"] == json!(gone)).unwrap()["at"].as_str().unwrap().to_owned();
    let pulled = yard.get(&format!("/v2/rel/team/app/manifests/latest@{at}")).await;
    assert!(pulled.status == 404 && pulled.error_messages().contains("deleted since"), "{}", pulled.text());
    let (code, _, err) = yard.run(&["tag", "rollback", "rel/team/app:latest", "--to", &gone.to_string()]);
    assert!(code == 1 && err.contains("is not there any more"), "{err}");
    yard.push("rel/team/app", "v1", &images[0]).await;
    let kept = yard.run(&["tag", "rollback", "rel/team/app:v1", "--to", &images[1].digest().to_string()]);
    assert!(kept.0 == 1 && kept.2.contains("immutable"), "{kept:?}");
    assert_eq!(yard.digest_of("rel/team/app", "v1").await, Some(images[0].digest().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_immutable_repository_every_tag_is_pushed_once_and_nothing_is_deleted() {
    let yard = Yard::start(&json!({ "rel": open(&json!({ "immutable": true })) }));
    let image = Image::small(1, 1000);
    let digest = yard.push("rel/team/app", "latest", &image).await;
    yard.push("rel/team/app", "latest", &image).await;
    let other = Image::small(2, 1000);
    yard.push("rel/team/app", &other.digest().to_string(), &other).await;
    let typed = [("Content-Type", other.manifest.media_type.as_str())];
    let path = "/v2/rel/team/app/manifests/latest";
    let moved = yard.send("PUT", path, &typed, other.manifest.bytes.to_vec()).await;
    assert_eq!((moved.status, moved.json()["errors"][0]["code"].as_str()), (403, Some("DENIED")));
    let blob = other.blobs[1].digest;
    for path in ["manifests/latest".to_owned(), format!("manifests/{}", other.digest()), format!("blobs/{blob}")] {
        let kept = yard.send("DELETE", &format!("/v2/rel/team/app/{path}"), &[], "").await;
        assert!(kept.status == 403 && kept.error_messages().contains("immutable"), "{path}: {}", kept.text());
    }
    assert_eq!(yard.digest_of("rel/team/app", "latest").await, Some(digest.to_string()));
    assert_eq!(yard.get(&format!("/v2/rel/team/app/blobs/{blob}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cached_tag_the_history_is_what_its_upstream_was_seen_to_say() {
    let lab = Lab::with_repository(json!({ "tag_ttl": "0s" }));
    let images = [Image::small(1, 1000), Image::small(2, 1000)];
    for image in &images {
        lab.upstream.add_image(NAME, "1", image);
        assert_eq!(lab.get(&Lab::manifest_path("1")).await.header("docker-content-digest"), image.digest().to_string());
    }
    let path = format!("/api/repos/lab/tags/history?name={NAME}&tag=1");
    let moves = lab.api("GET", &path, None).await.json()["moves"].clone();
    assert_eq!(
        (&moves[0]["from"], &moves[0]["to"]),
        (&json!(images[0].digest()), &json!(images[1].digest())),
        "{moves}"
    );
    assert_eq!((&moves[1]["how"], &moves[1]["by"]), (&json!("upstream"), &json!(lab.upstream.url())));
    let at = moves[1]["at"].as_str().unwrap();
    if moves[0]["at"] != moves[1]["at"] {
        let pulled = lab.get(&Lab::manifest_path(&format!("1@{at}"))).await;
        assert_eq!((pulled.status, pulled.body.as_slice()), (200, &*images[0].manifest.bytes));
    }
    let refused = lab.api("POST", "/api/repos/lab/tags/rollback", Some(json!({ "name": NAME, "tag": "1" }))).await;
    assert!(refused.status == 409 && refused.error_messages().contains("cache of an upstream"), "{}", refused.text());
}
