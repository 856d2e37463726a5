//! Retention and channels end to end: a plan that says everything before anything goes, and tags that move over versions.
//!
//! Must not know: how tags are ordered inside. Invariant: after each refusal it is looked at that nothing changed.

use serde_json::{Value, json};
use testkit::image::Image;

use crate::promotion::{Yard, open};

async fn tags(yard: &Yard, name: &str) -> Value {
    yard.get(&format!("/v2/{name}/tags/list")).await.json()["tags"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_goes_and_only_that_plan_is_run() {
    let retention =
        json!({ "rules": [{ "tags": "*", "keep_last": 2, "order": "semver", "keep_matching": ["keep-*"] }] });
    let mut yard = Yard::start(&json!({ "rel": open(&json!({ "immutable_tags": ["v*"], "retention": retention })) }));
    for (tag, seed) in
        [("1.9.0", 1), ("1.10.0", 2), ("1.2.0", 3), ("2.0.0-rc.1", 4), ("nightly", 5), ("keep-1", 6), ("v1", 7)]
    {
        yard.push("rel/app", tag, &Image::small(seed, 1000)).await;
    }
    let pulled = yard.digest_of("rel/app", "1.9.0").await.unwrap();
    let plan = yard.api("GET", "/api/repos/rel/retention", Value::Null).await.json();
    let verdict = |plan: &Value, tag: &str| {
        let tags = plan["tags"].as_array().unwrap();
        let one = tags.iter().find(|one| one["tag"] == tag).unwrap();
        (one["verdict"].as_str().unwrap().to_owned(), one["reason"].as_str().unwrap().to_owned())
    };
    for (tag, expected, word) in [
        ("2.0.0-rc.1", "keep", "number 1 of the last 2 by version"),
        ("1.10.0", "keep", "number 2"),
        ("1.9.0", "delete", "not of the last 2"),
        ("1.2.0", "delete", "not of the last 2"),
        ("nightly", "delete", "not of the last 2"),
        ("keep-1", "keep", "matches keep-*"),
        ("v1", "keep", "immutable"),
    ] {
        let (verdict, reason) = verdict(&plan, tag);
        assert!(verdict == expected && reason.contains(word), "{tag}: {verdict}: {reason}");
    }
    let pulled_at = |plan: &Value| {
        plan["tags"].as_array().unwrap().iter().find(|one| one["tag"] == "1.9.0").unwrap()["pulled_at"].clone()
    };
    let seen = pulled_at(&plan);
    assert!(seen.is_string(), "{plan}");
    yard.transship.kill();
    yard.transship.start_again();
    let again = yard.api("GET", "/api/repos/rel/retention", Value::Null).await.json();
    assert_eq!((pulled_at(&again), &again["id"]), (seen, &plan["id"]), "pulls outlive a restart");

    let (code, out, err) = yard.run(&["retention", "plan", "rel"]);
    assert!(code == 0 && out.contains("3 tags would be deleted, 4 stay"), "{out}{err}");
    let (code, _, err) = yard.run(&["retention", "run", "rel"]);
    assert!(code == 2 && err.contains("--plan"), "{err}");
    let id = plan["id"].as_str().unwrap();
    yard.push("rel/app", "3.0.0", &Image::small(8, 1000)).await;
    let (code, _, err) = yard.run(&["retention", "run", "rel", "--plan", id]);
    assert!(code == 1 && err.contains("nothing was deleted"), "{err}");
    assert_eq!(tags(&yard, "rel/app").await.as_array().unwrap().len(), 8);

    let (code, out, err) = yard.run(&["retention", "run", "rel", "--yes", "--json"]);
    assert_eq!(code, 0, "{err}");
    let run: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(run["deleted"], json!(["app:1.10.0", "app:1.2.0", "app:1.9.0", "app:nightly"]));
    assert_eq!(tags(&yard, "rel/app").await, json!(["2.0.0-rc.1", "3.0.0", "keep-1", "v1"]));
    assert_eq!(yard.digest_of("rel/app", &pulled).await, Some(pulled), "only tags go");
    let moves = yard.api("GET", "/api/repos/rel/tags/history?name=app&tag=nightly", Value::Null).await.json();
    assert_eq!((&moves["moves"][0]["how"], &moves["moves"][0]["by"]), (&json!("retention"), &json!("admin")));
    let (code, out, err) = yard.run(&["tag", "rollback", "rel/app:nightly"]);
    assert_eq!(code, 0, "{out}{err}");
    let none = yard.api("GET", "/api/repos/nowhere/retention", Value::Null).await;
    assert_eq!(none.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_versions_that_channels_stand_on_stay_whatever_the_rules_say() {
    let fields = json!({
        "immutable_tags": ["v*"],
        "channels": { "stable": { "over": "v*" }, "lts": { "over": "v*" } },
        "retention": { "rules": [{ "tags": "v*", "keep_last": 1, "order": "semver", "delete_immutable": true }] },
    });
    let yard = Yard::start(&json!({ "rel": open(&fields) }));
    for (tag, seed) in [("v1.0.0", 1), ("v1.1.0", 2), ("v1.2.0", 3), ("v2.0.0", 4)] {
        yard.push("rel/app", tag, &Image::small(seed, 1000)).await;
    }
    for (channel, version) in [("lts", "v1.0.0"), ("stable", "v1.1.0")] {
        let (code, out, err) = yard.run(&["channel", "set", "rel/app", channel, version]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let plan = yard.api("GET", "/api/repos/rel/retention", Value::Null).await.json();
    for (tag, channel) in [("v1.0.0", "lts"), ("v1.1.0", "stable")] {
        let one = plan["tags"].as_array().unwrap().iter().find(|one| one["tag"] == tag).unwrap();
        assert_eq!(one["verdict"], "keep", "{one}");
        assert!(one["reason"].as_str().unwrap().contains(&format!("channel '{channel}'")), "{one}");
    }
    let (code, out, err) = yard.run(&["retention", "run", "rel", "--yes", "--json"]);
    assert_eq!(code, 0, "{err}");
    let run: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&run["deleted"], &run["moved"]), (&json!(["app:v1.2.0"]), &json!([])));
    assert_eq!(tags(&yard, "rel/app").await, json!(["lts", "stable", "v1.0.0", "v1.1.0", "v2.0.0"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_moves_only_over_immutable_versions_and_follows_the_highest() {
    let channels = json!({
        "stable": { "over": "v*", "follow": "latest" },
        "beta": { "over": "v*", "follow": "latest", "prereleases": true },
        "canary": { "over": "v*" },
    });
    let fields = json!({ "immutable_tags": ["v*"], "channels": channels });
    let yard = Yard::start(&json!({ "dev": open(&json!({})), "rel": open(&fields) }));
    let images: Vec<Image> = (0..5).map(|seed| Image::small(seed, 1000)).collect();
    let points = async |channel: &str, image: &Image| {
        let wanted = Some(image.digest().to_string());
        for _ in 0..6000 {
            if yard.digest_of("rel/app", channel).await == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{channel} does not come to {wanted:?}\n{}", yard.transship.log_text());
    };
    yard.push("rel/app", "v1.10.0", &images[0]).await;
    points("stable", &images[0]).await;
    points("beta", &images[0]).await;
    yard.push("rel/app", "v2.0.0-rc.1", &images[1]).await;
    points("beta", &images[1]).await;
    // A lower version that comes later is no reason to go back; the rc moved beta, and the next one shows that it was handled.
    yard.push("rel/app", "v1.9.5", &images[2]).await;
    yard.push("rel/app", "v2.0.0-rc.2", &images[3]).await;
    points("beta", &images[3]).await;
    assert_eq!(yard.digest_of("rel/app", "stable").await, Some(images[0].digest().to_string()));

    let canary = async |image: &Image| {
        let typed = [("Content-Type", image.manifest.media_type.as_str())];
        yard.send("PUT", "/v2/rel/app/manifests/canary", &typed, image.manifest.bytes.to_vec()).await
    };
    yard.push("rel/app", &images[4].digest().to_string(), &images[4]).await;
    let refused = canary(&images[4]).await;
    assert!(refused.status == 403 && refused.error_messages().contains("is a channel"), "{}", refused.text());
    assert_eq!(yard.digest_of("rel/app", "canary").await, None);
    assert_eq!(canary(&images[2]).await.status, 201, "what a version points to may be pushed");

    let (code, out, err) = yard.run(&["channel", "set", "rel/app", "canary", "v1.10.0"]);
    assert!(code == 0 && out.contains("v1.10.0"), "{out}{err}");
    points("canary", &images[0]).await;
    for (channel, version, word) in [
        ("canary", "v9", "is not there"),
        ("canary", "beta", "no immutable tag"),
        ("edge", "v1.10.0", "has no channel 'edge'"),
    ] {
        let (code, _, err) = yard.run(&["channel", "set", "rel/app", channel, version]);
        assert!(code == 1 && err.contains(word), "{channel} {version}: {err}");
    }
    yard.push("dev/app", "x", &images[4]).await;
    let promoted = yard.api("POST", "/api/promotions", json!({ "from": "dev/app:x", "to": "rel/app:canary" })).await;
    assert!(promoted.status == 403 && promoted.error_messages().contains("is a channel"), "{}", promoted.text());
    points("canary", &images[0]).await;
    let back = yard.run(&["tag", "rollback", "rel/app:canary"]);
    assert_eq!(back.0, 0, "to a version it may: {back:?}");
    points("canary", &images[2]).await;
    let (code, out, _) = yard.run(&["channel", "list", "rel/app"]);
    assert!(code == 0 && out.contains("latest with pre-releases") && out.contains("v1.9.5"), "{out}");
    let (_, out, _) = yard.run(&["tag", "history", "rel/app:stable"]);
    assert!(out.contains("channel"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shows_at_once_whatever_moves_tags_of_its_members() {
    let fields = json!({
        "immutable_tags": ["v*"],
        "channels": { "stable": { "over": "v*" } },
        "retention": { "rules": [{ "tags": "n-*", "keep_matching": ["n-keep"] }] },
    });
    let all = json!({ "kind": "group", "members": ["rel", "more"], "names": "merged" });
    let yard =
        Yard::start(&json!({ "dev": open(&json!({})), "rel": open(&fields), "more": open(&json!({})), "all": all }));
    let images: Vec<Image> = (0..3).map(|seed| Image::small(seed, 1000)).collect();
    yard.push("more/app", "other", &images[0]).await;
    yard.push("rel/app", "v1", &images[1]).await;
    yard.push("rel/app", "n-1", &images[2]).await;
    assert_eq!(tags(&yard, "all/app").await, json!(["n-1", "other", "v1"]));
    for (command, listed) in [
        (&["channel", "set", "rel/app", "stable", "v1"][..], json!(["n-1", "other", "stable", "v1"])),
        (&["retention", "run", "rel", "--yes"], json!(["other", "stable", "v1"])),
        (&["tag", "rollback", "rel/app:n-1"], json!(["n-1", "other", "stable", "v1"])),
    ] {
        let (code, out, err) = yard.run(command);
        assert_eq!(code, 0, "{command:?}: {out}{err}");
        assert_eq!(tags(&yard, "all/app").await, listed, "after {command:?}");
    }
    yard.push("dev/app", "p", &images[0]).await;
    let promoted = yard.api("POST", "/api/promotions", json!({ "from": "dev/app:p", "to": "rel/app:p" })).await.json();
    assert_eq!(tags(&yard, "all/app").await, json!(["n-1", "other", "p", "stable", "v1"]));
    let (code, out, err) = yard.run(&["promotions", "revert", promoted["id"].as_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(tags(&yard, "all/app").await, json!(["n-1", "other", "stable", "v1"]));

    // A group holds nothing itself; whoever asks it for a plan is told who does.
    let (code, _, err) = yard.run(&["retention", "plan", "all"]);
    assert!(code == 1 && err.contains("'all' is a group") && err.contains("there is rel, more"), "{err}");
    for command in
        [&["group", "names", "rel"][..], &["group", "conflicts", "rel"], &["group", "release", "all", "no/such"]]
    {
        let (code, _, err) = yard.run(command);
        assert_eq!(code, 1, "the server says no to {command:?}: {err}");
    }
    let unknown = yard.api("GET", "/api/repos/all/names?foo=1", Value::Null).await;
    assert!(unknown.status == 400 && unknown.error_messages().contains("foo: unknown parameter"), "{}", unknown.text());
}
