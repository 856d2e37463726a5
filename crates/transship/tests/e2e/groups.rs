//! Groups over a hosted repository and two caches: members that disagree, fail and come back; pushes; a restart.
//!
//! Must not know: how a group finds out whose a name is. Invariant: of each answer it is looked at who was asked for it.

use std::process::{Command, Output};

use oci::{Digest, MediaType, Referrer, referrers_index};
use reqwest::Client;
use serde_json::{Value, json};
use testkit::image::Image;
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::upstream::{Cut, FakeUpstream, Fault, Kind, Target};

use crate::http::{self, Answer};
use crate::lab::{PROGRAM, comes_true, log_of, manage, metric_in};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The program with the hosted repository `rel`, the caches `corp` and `hub`, and the group `all` over them.
pub(crate) struct Groups {
    pub(crate) transship: TransshipProcess,
    corp: FakeUpstream,
    hub: FakeUpstream,
    client: Client,
}

impl Groups {
    pub(crate) fn start() -> Self {
        Self::with(&json!({ "push_to": "rel" }))
    }

    /// With these fields added to the group.
    fn with(fields: &Value) -> Self {
        let (corp, hub) = (FakeUpstream::start(), FakeUpstream::start());
        let config = config(&corp, &hub, fields);
        let setup = TransshipSetup { config: Some(config.to_string()), ..TransshipSetup::default() };
        Self { transship: TransshipProcess::start(PROGRAM, setup), corp, hub, client: http::client() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        http::send(&self.client, method, &format!("{}{path}", self.transship.url()), headers, body.into()).await
    }

    /// Gives the public upstream an image.
    pub(crate) fn hub_has(&self, name: &str, tag: &str, image: &Image) {
        self.hub.add_image(name, tag, image);
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Pulls `all/<name>:<reference>`.
    async fn pull(&self, name: &str, reference: &str) -> Answer {
        self.get(&format!("/v2/all/{name}/manifests/{reference}")).await
    }

    /// The digest that a pull gets; panics when it gets none.
    async fn digest(&self, name: &str, reference: &str) -> String {
        let answer = self.pull(name, reference).await;
        assert_eq!(answer.status, 200, "{name}:{reference}: {}", answer.text());
        answer.header("docker-content-digest").to_owned()
    }

    async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        manage(&self.client, &self.transship, method, path, body).await
    }

    /// Who keeps the names of `all`.
    async fn keepers(&self) -> Vec<(String, String)> {
        let answer = self.api("GET", "/api/repos/all/names", None).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = answer["names"].as_array().unwrap();
        names.iter().map(|one| (text(&one["name"]), text(&one["member"]))).collect()
    }

    /// Pushes an image with one layer under a repository and name, as a client does; its digest.
    async fn push(&self, name: &str, tag: &str, layer: &[u8]) -> Digest {
        for bytes in [b"{}".as_slice(), layer] {
            let digest = Digest::sha256_of(bytes);
            let pushed = self.push_blob(name, &digest, bytes).await;
            assert_eq!(pushed.status, 201, "{}", pushed.text());
        }
        let manifest = manifest(layer);
        let pushed = self.put_manifest(name, tag, &manifest).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        Digest::sha256_of(manifest.as_bytes())
    }

    async fn push_blob(&self, name: &str, digest: &Digest, bytes: &[u8]) -> Answer {
        self.send("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes).await
    }

    async fn put_manifest(&self, name: &str, tag: &str, manifest: &str) -> Answer {
        let path = format!("/v2/{name}/manifests/{tag}");
        self.send("PUT", &path, &[("Content-Type", IMAGE)], manifest).await
    }

    /// Waits until the log has a line with this message that says these.
    async fn wait_logged(&self, message: &str, says: &[(&str, &str)]) {
        let fits = |line: &Value| {
            line["message"].as_str().is_some_and(|text| text.contains(message))
                && says.iter().all(|(field, value)| line[field] == *value)
        };
        let came = comes_true(|| log_of(&self.transship).iter().any(fits)).await;
        assert!(came, "{message} {says:?}\n{}", self.transship.log_text());
    }
}

fn config(corp: &FakeUpstream, hub: &FakeUpstream, fields: &Value) -> Value {
    let proxy = |upstream: &FakeUpstream| json!({ "kind": "proxy", "upstream": upstream.url(), "internal": true, "tag_ttl": "0s" });
    let mut all = json!({ "kind": "group", "members": ["rel", "corp", "hub"] });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({
        "builtin_upstreams": false,
        // Each request comes to the upstream, whatever happened before.
        "upstream": { "max_attempts": 1, "first_byte_timeout": "2s" },
        "repos": {
            "rel": { "kind": "hosted", "push": "anyone" }, "corp": proxy(corp), "hub": proxy(hub), "all": all,
        },
    })
}

fn manifest(layer: &[u8]) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256_of(b"{}"), "size": 2 },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::sha256_of(layer), "size": layer.len(),
        }],
    })
    .to_string()
}

/// What an upstream was asked for, token services and pings left out.
fn asked(upstream: &FakeUpstream) -> Vec<String> {
    let requests = upstream.requests();
    let content = requests.iter().filter(|request| !matches!(request.kind(), Kind::Ping | Kind::Token));
    content.map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_member_that_has_a_name_keeps_it() {
    let house = Groups::start();
    let pushed = house.push("rel/team/app", "v1", b"ours").await;
    house.corp.add_image("team/app", "v1", &Image::small(1, 3000));
    house.hub.add_image("team/app", "v1", &Image::small(2, 3000));
    let foreign = house.hub.add_image("team/app", "v2", &Image::small(3, 3000));
    assert_eq!(house.digest("team/app", "v1").await, pushed.to_string());
    // Dependency confusion: the tag that only a stranger has is not there.
    let absent = house.pull("team/app", "v2").await;
    assert_eq!((absent.status, absent.json()["errors"][0]["code"].as_str().unwrap()), (404, "MANIFEST_UNKNOWN"));
    assert!(absent.error_messages().contains("member 'rel' answers for this name in group 'all'"), "{}", absent.text());
    assert_eq!(house.pull("team/app", &foreign.to_string()).await.status, 404);
    assert_eq!(asked(&house.corp), [""; 0]);
    assert_eq!(asked(&house.hub), [""; 0]);
    // Of the two caches too, although the second has a tag that the first lacks.
    let first = house.corp.add_image("base/os", "v1", &Image::small(4, 3000));
    house.hub.add_image("base/os", "v2", &Image::small(5, 3000));
    let absent = house.pull("base/os", "v2").await;
    assert_eq!(absent.status, 404, "{}", absent.text());
    assert_eq!(asked(&house.hub), [""; 0], "corp has the name, so nobody else is asked");
    assert_eq!(house.digest("base/os", "v1").await, first.to_string());
    let only = house.hub.add_image("library/debian", "12", &Image::small(6, 3000));
    assert_eq!(house.digest("library/debian", "12").await, only.to_string());
    let keepers = [("base/os", "corp"), ("library/debian", "hub"), ("team/app", "rel")];
    assert_eq!(house.keepers().await, keepers.map(|(name, member)| (name.to_owned(), member.to_owned())));
    // Whose a name is was found out once.
    house.corp.clear_log();
    assert_eq!(house.digest("library/debian", "12").await, only.to_string());
    assert_eq!(asked(&house.corp), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosted_member_behind_caches_answers_once_these_have_said_no() {
    let house = Groups::with(&json!({ "members": ["corp", "hub", "rel"] }));
    let pushed = house.push("rel/team/app", "v1", b"ours").await;
    house.push("rel/team/other", "v1", b"other").await;
    house.corp.fault(Target::any(), Fault::status(503));
    assert_ne!(house.pull("team/app", "v1").await.status, 200, "corp may have the name");
    assert_eq!(house.keepers().await, []);
    house.corp.clear_faults();
    let started = std::time::Instant::now();
    while house.pull("team/app", "v1").await.status != 200 {
        assert!(started.elapsed().as_secs() < 60, "{}", house.transship.log_text());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(house.digest("team/app", "v1").await, pushed.to_string());
    assert_eq!(house.pull("team/other", "v2").await.status, 404);
    let keepers = [("team/app", "rel"), ("team/other", "rel")];
    assert_eq!(house.keepers().await, keepers.map(|(name, member)| (name.to_owned(), member.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stands_in_for_a_member_that_fails() {
    let house = Groups::start();
    house.hub.add_image("team/app", "v1", &Image::small(2, 3000));
    let faults = [
        (Fault::status(500), 502),
        (Fault::status(503), 502),
        (Fault::status(401), 403),
        (Fault::status(403), 403),
        (Fault::HangUp(Cut::Reset), 502),
        (Fault::DelayFirstByte(std::time::Duration::from_mins(10)), 504),
        (Fault::too_many_requests(Some("1")), 429),
    ];
    for (number, (fault, status)) in faults.into_iter().enumerate() {
        house.corp.clear_faults();
        house.corp.fault(Target::any(), fault.clone());
        let failed = house.pull("team/app", &format!("v1-{number}")).await;
        // The breaker may be open by now: that is no "not found" either.
        assert!(failed.status == status || failed.status == 503, "{fault:?}: {} {}", failed.status, failed.text());
        let detail = &failed.json()["errors"][0]["detail"];
        assert_eq!((&detail["group"], &detail["member"]), (&json!("all"), &json!("corp")), "{fault:?}");
        assert!(failed.error_messages().contains("member 'corp' of group 'all' failed"), "{}", failed.text());
    }
    assert_eq!(asked(&house.hub), [""; 0]);
    assert_eq!(house.keepers().await, []);
    // It comes back and says no: now the next one is asked.
    house.corp.clear_faults();
    let back = async || house.pull("team/app", "v1").await.status == 200;
    let started = std::time::Instant::now();
    while !back().await {
        assert!(started.elapsed().as_secs() < 60, "{}", house.transship.log_text());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(house.keepers().await, [("team/app".to_owned(), "hub".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_has_cached_is_served_while_it_is_down_and_a_restart_changes_nothing() {
    let mut house = Groups::start();
    let digest = house.corp.add_image("team/app", "v1", &Image::small(1, 30_000));
    house.hub.add_image("team/app", "v1", &Image::small(2, 3000));
    house.hub.add_image("team/app", "v2", &Image::small(3, 3000));
    let pulled = house.pull("team/app", "v1").await;
    assert_eq!(pulled.header("docker-content-digest"), digest.to_string());
    assert_eq!(pulled.header("cache-status"), "transship; fwd=uri-miss", "the first pull says what it was");
    let layer: Digest = pulled.json()["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let blob = format!("/v2/all/team/app/blobs/{layer}");
    assert_eq!(house.get(&blob).await.status, 200);
    let (stored, staging) = (format!("blobs/sha256/{}/{}", &layer.hex()[..2], layer.hex()), "staging");
    let [stored, staging] = [&*stored, staging].map(|path| house.transship.cache_dir().join(path));
    let is_stored = || stored.exists() && std::fs::read_dir(&staging).unwrap().next().is_none();
    assert!(comes_true(is_stored).await, "what was pulled is stored behind the answer");
    house.corp.stop();
    for round in ["before", "after"] {
        let stale = house.pull("team/app", "v1").await;
        assert_eq!(stale.header("docker-content-digest"), digest.to_string(), "{round}: {}", stale.text());
        assert!(stale.header("warning").starts_with("299"), "{round}");
        assert_eq!(house.get(&blob).await.status, 200, "{round}");
        let part = house.send("GET", &blob, &[("Range", "bytes=5-9")], "").await;
        assert_eq!((part.status, part.body.len()), (206, 5), "{round}");
        let failed = house.pull("team/app", "v2").await;
        assert!(matches!(failed.status, 502..=504), "{round}: {} {}", failed.status, failed.text());
        assert_eq!(asked(&house.hub), [""; 0], "{round}");
        if round == "before" {
            house.transship.kill();
            house.transship.start_again();
        }
    }
    assert_eq!(house.keepers().await, [("team/app".to_owned(), "corp".to_owned())]);
    house.corp.restart();
    let after = house.corp.add_image("team/app", "v3", &Image::small(4, 3000));
    let came = async || house.pull("team/app", "v3").await.header("docker-content-digest") == after.to_string();
    let started = std::time::Instant::now();
    while !came().await {
        assert!(started.elapsed().as_secs() < 60, "{}", house.transship.log_text());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(asked(&house.hub), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stays_with_its_keeper_until_it_is_released() {
    let house = Groups::start();
    let pushed = house.push("rel/team/app", "v1", b"ours").await;
    assert_eq!(house.digest("team/app", "v1").await, pushed.to_string());
    assert_eq!(house.send("DELETE", &format!("/v2/rel/team/app/manifests/{pushed}"), &[], "").await.status, 202);
    house.hub.add_image("team/app", "v1", &Image::small(2, 3000));
    assert_eq!(house.pull("team/app", "v1").await.status, 404, "it was ours, so it is not a stranger's now");
    assert_eq!(asked(&house.hub), [""; 0]);
    assert_eq!(house.api("DELETE", "/api/repos/all/names/team/app", None).await.status, 204);
    assert_eq!(house.api("DELETE", "/api/repos/all/names/team/app", None).await.status, 404);
    assert_eq!(house.pull("team/app", "v1").await.status, 200);
    assert_eq!(house.keepers().await, [("team/app".to_owned(), "hub".to_owned())]);
    // A push to the hosted member, which comes first, takes the name and is told of.
    let again = house.push("rel/team/app", "v2", b"ours again").await;
    assert_eq!(house.digest("team/app", "v2").await, again.to_string());
    assert_eq!(house.pull("team/app", "v1").await.status, 404);
    assert_eq!(house.keepers().await, [("team/app".to_owned(), "rel".to_owned())]);
    house.wait_logged("takes it", &[("name", "team/app"), ("before", "hub"), ("now", "rel")]).await;
    let metrics = house.get("/metrics").await.text();
    assert_eq!(metric_in(&metrics, "transship_group_names_changed_total{repo_key=\"all\"}"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_routes_decide_whatever_members_have() {
    let rules = json!({
        "push_to": "rel", "pin": { "team/*": "rel", "team/base": "hub" }, "routes": { "corp": ["corp/*"] },
    });
    let house = Groups::with(&rules);
    for upstream in [&house.corp, &house.hub] {
        for name in ["team/app", "team/base", "corp/app", "other/app"] {
            upstream.add_image(name, "v1", &Image::small(1, 3000));
        }
    }
    assert_eq!(house.pull("team/app", "v1").await.status, 404, "pinned to rel, which has nothing");
    assert_eq!((asked(&house.corp), asked(&house.hub)), (vec![], vec![]));
    assert_eq!(house.pull("team/base", "v1").await.status, 200);
    assert_eq!(asked(&house.corp), [""; 0]);
    house.hub.clear_log();
    assert_eq!(house.pull("corp/app", "v1").await.status, 200);
    assert_eq!(asked(&house.hub), [""; 0]);
    house.corp.clear_log();
    assert_eq!(house.pull("other/app", "v1").await.status, 200);
    assert_eq!(asked(&house.corp), [""; 0], "a routed member is asked for nothing else");
    for (name, why) in [("team/base", "'team/base' is pinned to member 'hub'"), ("corp/app", "routes")] {
        let refused = house.push_blob(&format!("all/{name}"), &Digest::sha256_of(b"x"), b"x").await;
        assert_eq!((refused.status, refused.json()["errors"][0]["code"].as_str().unwrap()), (403, "DENIED"));
        assert!(refused.error_messages().contains(why), "{}", refused.text());
    }
    let pushed = house.push("all/team/app", "v1", b"ours").await;
    assert_eq!(house.digest("team/app", "v1").await, pushed.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_push_goes_to_one_member_and_stays_under_the_groups_address() {
    let house = Groups::start();
    // The same layer lies at a cache under the same name: the client must push it all the same.
    let layer = house.hub.add_blob("library/tool", b"a layer".as_slice());
    let head = house.send("HEAD", &format!("/v2/all/library/tool/blobs/{layer}"), &[], "").await;
    assert_eq!(head.status, 404, "what is to be pushed is not there");
    let begun = house.send("POST", "/v2/all/library/tool/blobs/uploads/", &[], "").await;
    assert_eq!(begun.status, 202);
    let location = begun.header("location").to_owned();
    assert!(location.starts_with("/v2/all/library/tool/blobs/uploads/"), "{location}");
    let patched = house.send("PATCH", &location, &[], "a la").await;
    assert_eq!((patched.status, patched.header("location")), (202, location.as_str()));
    assert_eq!(house.send("GET", &location, &[], "").await.header("range"), "0-3");
    let put = house.send("PUT", &format!("{location}?digest={layer}"), &[], "yer").await;
    assert_eq!((put.status, put.header("location")), (201, &*format!("/v2/all/library/tool/blobs/{layer}")));
    assert_eq!(house.push_blob("all/library/tool", &Digest::sha256_of(b"{}"), b"{}").await.status, 201);
    let text = manifest(b"a layer");
    let pushed = house.put_manifest("all/library/tool", "v1", &text).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let digest = Digest::sha256_of(text.as_bytes());
    assert_eq!(pushed.header("location"), format!("/v2/all/library/tool/manifests/{digest}"));
    assert_eq!(house.digest("library/tool", "v1").await, digest.to_string());
    assert_eq!(house.get(&format!("/v2/rel/library/tool/manifests/{digest}")).await.status, 200);
    // Mounted from a name of the group, and from one that has no such blob.
    let mount = async |from: &str| {
        let path = format!("/v2/all/library/more/blobs/uploads/?mount={layer}&from={from}");
        house.send("POST", &path, &[], "").await.status
    };
    assert_eq!((mount("all/library/tool").await, mount("all/nothing/here").await), (201, 202));
    assert_eq!(asked(&house.corp), [""; 0], "a push asks nobody");
    assert_eq!(asked(&house.hub), [""; 0]);
    let deleted = house.send("DELETE", &format!("/v2/all/library/tool/manifests/{digest}"), &[], "").await;
    assert_eq!((deleted.status, house.pull("library/tool", "v1").await.status), (202, 404));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_could_not_be_pulled_again_is_refused() {
    let house = Groups::start();
    house.hub.add_image("library/debian", "12", &Image::small(6, 3000));
    assert_eq!(house.pull("library/debian", "12").await.status, 200);
    let refused = house.push_blob("all/library/debian", &Digest::sha256_of(b"x"), b"x").await;
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].as_str().unwrap()), (403, "DENIED"));
    let words = refused.error_messages();
    assert!(words.contains("member 'hub' keeps the name") && words.contains("/api/repos/all/names/"), "{words}");
    assert_eq!(house.get("/v2/rel/library/debian/tags/list").await.status, 404, "nothing came of it");

    let readonly = Groups::with(&json!({}));
    for (method, path) in [
        ("POST", "/v2/all/team/app/blobs/uploads/"),
        ("PUT", "/v2/all/team/app/manifests/v1"),
        ("DELETE", "/v2/all/team/app/manifests/v1"),
    ] {
        let refused = readonly.send(method, path, &[], "").await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        assert!(refused.error_messages().contains("takes no pushes") && refused.text().contains("rel"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_names_are_looked_for_tag_by_tag_and_conflicts_are_told() {
    let house = Groups::with(&json!({ "push_to": "rel", "names": "merged" }));
    let ours = house.push("rel/team/app", "v1", b"ours").await;
    let theirs = house.corp.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = house.corp.add_image("team/app", "v2", &Image::small(2, 3000));
    let third = house.hub.add_image("team/app", "v3", &Image::small(3, 3000));
    for (tag, digest) in [("v1", ours), ("v2", second), ("v3", third)] {
        assert_eq!(house.digest("team/app", tag).await, digest.to_string(), "{tag}");
    }
    // By digest everything is there, from whoever has it.
    let image = house.pull("team/app", "v3").await.json();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(house.get(&format!("/v2/all/team/app/blobs/{layer}")).await.status, 200);
    assert_eq!(house.pull("team/app", &theirs.to_string()).await.status, 200);
    let tags = async |query: &str| house.get(&format!("/v2/all/team/app/tags/list{query}")).await;
    assert_eq!(tags("").await.json()["tags"], json!(["v1", "v2", "v3"]));
    let page = tags("?n=2").await;
    assert_eq!(page.json()["tags"], json!(["v1", "v2"]));
    assert_eq!(page.header("link"), "</v2/all/team/app/tags/list?n=2&last=v2>; rel=\"next\"");
    let last = tags("?n=2&last=v2").await;
    assert_eq!((last.json()["tags"].clone(), last.header("link")), (json!(["v3"]), ""));
    // The same tag elsewhere: the order decides, and it is told.
    assert_eq!(house.get("/v2/corp/team/app/manifests/v1").await.status, 200);
    let told = house.api("GET", "/api/repos/all/conflicts", None).await.json();
    let sides = json!([{ "member": "rel", "digest": ours }, { "member": "corp", "digest": theirs }]);
    let conflict = json!({ "name": "team/app", "tag": "v1", "served_by": "rel", "members": sides });
    assert_eq!(told, json!({ "conflicts": [conflict], "truncated": false }));
    assert_eq!(house.pull("team/app", "v4").await.status, 404);
    // What is pushed and deleted shows at once.
    let more = house.push("all/team/app", "v5", b"more").await;
    assert_eq!(tags("").await.json()["tags"], json!(["v1", "v2", "v3", "v5"]));
    assert_eq!(house.send("DELETE", &format!("/v2/all/team/app/manifests/{more}"), &[], "").await.status, 202);
    assert_eq!(tags("").await.json()["tags"], json!(["v1", "v2", "v3"]));
    house.push("all/team/other", "v3", b"other").await;
    house.corp.fault(Target::any(), Fault::status(500));
    let part = house.get("/v2/all/team/other/tags/list").await;
    assert_eq!((part.status, part.json()["tags"].clone()), (200, json!(["v3"])), "{}", part.text());
    assert!(part.header("warning").contains("member 'corp'"), "{}", part.header("warning"));
    assert!(matches!(house.pull("team/app", "v9").await.status, 502 | 503), "v9 may be at corp");
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_of_all_members_are_one_list() {
    let house = Groups::with(&json!({ "push_to": "rel", "names": "merged" }));
    let image = Image::small(1, 3000);
    let (name, subject) = ("team/app", image.manifest.digest);
    house.corp.add_image(name, "v1", &image);
    let one = |of: &str| Referrer {
        media_type: MediaType::OCI_IMAGE_MANIFEST,
        digest: Digest::sha256_of(of.as_bytes()),
        size: 7,
        artifact_type: Some(format!("application/{of}")),
        annotations: None,
    };
    for (upstream, listed) in [(&house.corp, [one("both"), one("corp")]), (&house.hub, [one("hub"), one("both")])] {
        let index = vec![("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned())];
        let reply = Fault::Reply(200, index, referrers_index(&listed).into());
        upstream.fault(Target::any().path("/referrers/"), reply);
    }
    for bytes in [b"{}".as_slice(), b"signature"] {
        assert_eq!(house.push_blob("all/team/app", &Digest::sha256_of(bytes), bytes).await.status, 201);
    }
    let mut signature: Value = serde_json::from_str(&manifest(b"signature")).unwrap();
    signature["artifactType"] = json!("application/rel");
    signature["subject"] = json!({ "mediaType": IMAGE, "digest": subject, "size": image.manifest.bytes.len() });
    let pushed = house.put_manifest("all/team/app", "sig", &signature.to_string()).await;
    assert_eq!((pushed.status, pushed.header("oci-subject")), (201, subject.to_string().as_str()));
    let listed = async |query: &str| {
        let answer = house.get(&format!("/v2/all/{name}/referrers/{subject}{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listed = answer.json()["manifests"].as_array().unwrap().clone();
        let types = listed.iter().map(|one| one["artifactType"].as_str().unwrap().replace("application/", ""));
        (types.collect::<Vec<_>>().join(","), answer.header("warning").to_owned(), answer.header("link").to_owned())
    };
    let plain = |text: &str| (text.to_owned(), String::new(), String::new());
    assert_eq!(listed("").await, plain("rel,both,corp,hub"));
    assert_eq!(listed("?artifactType=application%2Fhub").await, plain("hub"));
    assert!(!listed("?n=2").await.2.is_empty(), "there is more");
    house.hub.clear_faults();
    house.hub.fault(Target::any(), Fault::status(500));
    let none = house.get(&format!("/v2/all/{name}/referrers/{}", Digest::sha256_of(b"none"))).await;
    assert_eq!((none.status, none.header("warning").contains("member 'hub'")), (200, true), "{}", none.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_group_is_told_and_its_members_stay() {
    let house = Groups::start();
    let refused = house
        .api(
            "POST",
            "/api/repos",
            Some(json!({
                "key": "more", "kind": "group", "members": ["rel", "nowhere", "all", "rel"], "push_to": "corp", "tag_ttl": "5m",
            })),
        )
        .await;
    let words = refused.error_messages();
    assert_eq!(refused.status, 400);
    for part in ["members[3]: 'rel' is a member already", "push_to: 'corp' is not a member", "a group has no 'tag_ttl'"]
    {
        assert!(words.contains(part), "{words}");
    }
    let made = json!({ "key": "more", "kind": "group", "members": ["rel", "nowhere", "all", "hub"], "push_to": "hub" });
    let words = house.api("POST", "/api/repos", Some(made)).await.error_messages();
    for part in
        ["members[1]: there is no repository 'nowhere'", "members[2]: 'all' is a group", "push_to: 'hub' takes no"]
    {
        assert!(words.contains(part), "{words}");
    }
    let extra = json!({ "key": "extra", "kind": "proxy", "upstream": house.hub.url(), "internal": true });
    assert_eq!(house.api("POST", "/api/repos", Some(extra.clone())).await.status, 201);
    let more = json!({ "key": "more", "kind": "group", "members": ["rel", "extra"], "push_to": "rel" });
    let made = house.api("POST", "/api/repos", Some(more)).await;
    assert_eq!((made.status, made.json()["members"].clone()), (201, json!(["rel", "extra"])));
    let kept = house.api("DELETE", "/api/repos/extra", None).await;
    assert_eq!(kept.status, 409);
    assert!(kept.error_messages().contains("group 'more'"), "{}", kept.text());
    let private = json!({ "kind": "proxy", "upstream": house.hub.url(), "internal": true, "auth": "passthrough" });
    let kept = house.api("PUT", "/api/repos/extra", Some(private)).await;
    assert_eq!(kept.status, 409, "{}", kept.text());
    assert!(kept.error_messages().contains("passthrough"), "{}", kept.text());
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    assert_eq!(house.get("/v2/more/team/app/manifests/v1").await.status, 200, "it is as it was");
    assert_eq!(house.api("DELETE", "/api/repos/more", None).await.status, 204);
    assert_eq!(house.api("DELETE", "/api/repos/extra", None).await.status, 204);
    let checked = house.api("POST", "/api/repos/all/check", Some(json!({}))).await;
    assert_eq!(checked.status, 409, "{}", checked.text());
    for path in ["/api/repos/rel/names", "/api/repos/rel/conflicts"] {
        assert_eq!(house.api("GET", path, None).await.status, 409, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_members_away_and_nobody_stands_in_for_them() {
    let house = Groups::start();
    let extra = json!({ "key": "mine", "kind": "group", "members": ["corp", "hub"] });
    assert_eq!(house.api("POST", "/api/repos", Some(extra)).await.status, 201);
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    let mut changed = config(&house.corp, &house.hub, &json!({ "members": ["rel", "hub"] }));
    changed["repos"].as_object_mut().unwrap().remove("corp");
    std::fs::write(house.transship.config_file(), changed.to_string()).unwrap();
    house.transship.reload();
    house.wait_logged("configuration reloaded", &[]).await;
    assert_eq!(house.pull("team/app", "v1").await.status, 200);
    let failed = house.get("/v2/mine/team/app/manifests/v1").await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    assert!(failed.error_messages().contains("member 'corp' of group 'mine' is not there"), "{}", failed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_member_answered_and_a_hit_asks_nobody() {
    let house = Groups::with(&json!({ "routes": {} }));
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    let digest = house.digest("team/app", "v1").await;
    house.hub.clear_log();
    house.corp.clear_log();
    assert_eq!(house.digest("team/app", &digest).await, digest);
    assert_eq!((asked(&house.corp), asked(&house.hub)), (vec![], vec![]));
    let path = format!("/v2/all/team/app/manifests/{digest}");
    let says = [("path", path.as_str()), ("repo_key", "all"), ("member", "hub"), ("answered_by", "keeper")];
    house.wait_logged("request", &says).await;
    let metrics = house.get("/metrics").await.text();
    assert_eq!(metric_in(&metrics, "transship_group_answers_total{repo_key=\"all\",by=\"found\"}"), Some(1.0));
    let answered = metric_in(&metrics, "transship_pulls_total{repo_key=\"hub\",kind=\"manifest\",outcome=\"miss\"}");
    assert_eq!(answered, Some(1.0), "counted once, as what it was");
}

fn run(house: &Groups, arguments: &[&str]) -> Output {
    let token = house.transship.cache_dir().join("admin.token");
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("HOME", house.transship.cache_dir()).args(arguments);
    command.args(["--server", &house.transship.url(), "--admin-token-file", token.to_str().unwrap()]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_explains_lists_and_releases() {
    let house = Groups::start();
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let cold = run(&house, &["explain", "all/team/app:v1"]);
    let words = text(&cold);
    assert!(cold.status.success(), "{}", String::from_utf8_lossy(&cold.stderr));
    for part in ["who has it is found out by asking", "rel (hosted): yes, first", "hub (proxy): yes, number 3"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!((asked(&house.corp), asked(&house.hub)), (vec![], vec![]), "explaining asks nobody");
    house.hub.add_image("team/app", "v1", &Image::small(1, 3000));
    assert_eq!(house.pull("team/app", "v1").await.status, 200);
    let explained = run(&house, &["explain", "all/team/app:v1", "--json"]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!((&explained["group"]["keeper"], &explained["route"]["repo_key"]), (&json!("hub"), &json!("hub")));
    assert_eq!(explained["tag"]["state"], "stale", "{explained}");
    assert!(text(&run(&house, &["group", "names", "all"])).contains("team/app"));
    let none = run(&house, &["group", "conflicts", "all"]);
    assert_eq!((none.status.code(), text(&none).contains("not known to disagree")), (Some(0), true));
    house.hub.add_image("team/app", "v2", &Image::small(2, 3000));
    assert_eq!(house.get("/v2/hub/team/app/manifests/v2").await.status, 200);
    let pushed = house.push("rel/team/app", "v2", b"ours").await;
    let explained = text(&run(&house, &["explain", "all/team/app:v2"]));
    assert!(explained.contains("member 'rel' keeps the name"), "{explained}");
    let found = run(&house, &["group", "conflicts", "all", "--json"]);
    let told: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((found.status.code(), &told["conflicts"][0]["members"][0]["digest"]), (Some(1), &json!(pushed)));
    assert!(text(&run(&house, &["group", "conflicts", "all"])).contains("team/app:v2 is served by rel"));
    assert_eq!(house.digest("team/app", "v2").await, pushed.to_string());
    house.wait_logged("members have a tag at different digests", &[("tag", "v2")]).await;
    assert_eq!(run(&house, &["group", "release", "all", "team/app"]).status.code(), Some(0));
    assert_eq!(run(&house, &["group", "release", "all", "no/such"]).status.code(), Some(1));
    assert_eq!(run(&house, &["group", "names", "rel"]).status.code(), Some(1), "not a group");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_addresses_of_its_own() {
    let house = Groups::with(&json!({ "push_to": "rel", "hosts": ["all.example"], "pin": { "secret/*": "corp" } }));
    house.hub.add_image("library/debian", "12", &Image::small(1, 3000));
    let at_host = async |path: &str| house.send("GET", path, &[("Host", "all.example")], "").await;
    let pulled = at_host("/v2/library/debian/manifests/12?ns=docker.io").await;
    assert_eq!(pulled.status, 200, "{}", pulled.text());
    assert_eq!(at_host("/v2/").await.status, 200);
    for name in ["rel/b/two", "rel/a/one", "rel/secret/app"] {
        house.push(name, "v1", b"ours").await;
    }
    let catalog = at_host("/v2/_catalog").await;
    assert_eq!(catalog.json()["repositories"], json!(["a/one", "b/two"]), "what is pinned elsewhere is not served");
    let page = at_host("/v2/_catalog?n=1").await;
    assert_eq!(page.json()["repositories"], json!(["a/one"]));
    assert!(page.header("link").contains("last=a%2Fone"), "{}", page.header("link"));
    assert_eq!(at_host("/v2/_catalog?n=1&last=a%2Fone").await.json()["repositories"], json!(["b/two"]));
    // Elsewhere the names stand under their own keys, each once.
    let everywhere = house.get("/v2/_catalog").await;
    assert_eq!(everywhere.json()["repositories"], json!(["rel/a/one", "rel/b/two", "rel/secret/app"]));
}
