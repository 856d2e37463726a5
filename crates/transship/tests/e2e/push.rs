//! Pushing to hosted repositories over HTTP: who may, every form of upload, what a restart and `kill -9` leave.
//!
//! Must not know: how anything is stored, beyond the names of folders. Invariant: after each refusal it is looked at that
//! nothing changed.

use std::io::{Read as _, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use oci::Digest;
use reqwest::Client;
use serde_json::{Value, json};
use testkit::image;
use testkit::transship_process::{TransshipProcess, TransshipSetup};

use crate::http::{self, Answer};
use crate::lab::{PROGRAM, comes_true};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The program with the hosted repositories `rel` (tags `v*` immutable, the admin token pushes) and `lab` (anyone does).
pub(crate) struct Hosted {
    pub(crate) transship: TransshipProcess,
    pub(crate) client: Client,
}

impl Hosted {
    pub(crate) fn start() -> Self {
        Self::with(&json!({}))
    }

    /// With these fields in the configuration file.
    pub(crate) fn with(fields: &Value) -> Self {
        Self::set_up(fields, TransshipSetup::default())
    }

    /// The same with a set-up of the test's own.
    pub(crate) fn set_up(fields: &Value, setup: TransshipSetup) -> Self {
        let mut config = json!({
            "builtin_upstreams": false,
            "repos": { "rel": { "kind": "hosted", "immutable_tags": ["v*"] }, "lab": { "kind": "hosted", "push": "anyone" } },
        });
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let setup = TransshipSetup { config: Some(config.to_string()), ..setup };
        Self { transship: TransshipProcess::start(PROGRAM, setup), client: http::client() }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        http::send(&self.client, method, &format!("{}{path}", self.transship.url()), headers, body.into()).await
    }

    /// With the login that `docker login` would have made.
    pub(crate) async fn as_admin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let login = basic("ci", &self.transship.admin_token());
        self.send(method, path, &[headers, &[("Authorization", login.as_str())]].concat(), body).await
    }

    pub(crate) async fn push_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256_of(bytes);
        let pushed = self.as_admin("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        digest
    }

    /// Files of pushed blobs and of uploads.
    pub(crate) fn files(&self) -> (usize, usize) {
        let root = self.transship.cache_dir().join("hosted");
        (count(&root.join("blobs")), count(&root.join("uploads")))
    }
}

fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

pub(crate) fn manifest(layers: &[(Digest, usize)]) -> String {
    let layers = layers.iter().map(|(digest, size)| {
        json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size })
    });
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256_of(b"{}"), "size": 2 },
        "layers": layers.collect::<Vec<_>>(),
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn pushing_needs_a_login_that_clients_are_told_how_to_make() {
    let house = Hosted::start();
    let begin = "/v2/rel/app/blobs/uploads/";
    let ping = house.send("GET", "/v2/", &[], "").await;
    let refused = house.send("POST", begin, &[], "").await;
    let host = house.transship.host();
    let realm = format!("Bearer realm=\"http://{host}/token\",service=\"{host}\"");
    assert_eq!((ping.status, ping.header("www-authenticate")), (401, realm.as_str()));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), format!("{realm},scope=\"repository:rel/app:pull,push\""));
    assert_eq!(refused.json()["errors"][0]["code"], "UNAUTHORIZED");

    let token_of = async |login: Option<String>| {
        let login = login.as_deref().map(|login| ("Authorization", login));
        house.send("GET", "/token?service=x&scope=repository:rel/app:pull,push", login.as_slice(), "").await
    };
    let wrong = token_of(Some(basic("ci", "guess"))).await;
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let nobody = token_of(None).await.json()["token"].as_str().unwrap().to_owned();
    let admin = token_of(Some(basic("ci", &house.transship.admin_token()))).await.json();
    let admin = admin["token"].as_str().unwrap();
    for (token, ping, push) in [(nobody.as_str(), 200, 401), (admin, 200, 202), ("made.up", 401, 401)] {
        let bearer = format!("Bearer {token}");
        let shown = [("Authorization", bearer.as_str())];
        assert_eq!(house.send("GET", "/v2/", &shown, "").await.status, ping, "{token}");
        assert_eq!(house.send("POST", begin, &shown, "").await.status, push, "{token}");
    }
    for login in [basic("ci", "guess"), basic(&house.transship.admin_token(), "x"), "Basic %%%".into()] {
        let shown = [("Authorization", login.as_str())];
        assert_eq!(house.send("POST", begin, &shown, "").await.status, 401);
        assert_eq!(
            house.send("POST", "/v2/lab/app/blobs/uploads/", &shown, "").await.status,
            401,
            "wrong even for anyone"
        );
    }
    assert_eq!(house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.status, 202);
    let post = [("Content-Type", "application/x-www-form-urlencoded")];
    let grant = format!("grant_type=password&username=ci&password={}", house.transship.admin_token());
    assert!(house.send("POST", "/token", &post, grant).await.json()["access_token"].is_string());
    assert_eq!(house.send("POST", "/token", &post, "grant_type=refresh_token").await.status, 400);
    assert!(!house.transship.log_text().contains(admin), "no token is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_in_chunks_with_chunks_that_do_not_fit() {
    let house = Hosted::start();
    let begun = house.as_admin("POST", "/v2/rel/app/blobs/uploads/", &[], "").await;
    assert_eq!((begun.status, begun.header("range")), (202, "0-0"));
    let at = begun.header("location").to_owned();
    let first = house.as_admin("PATCH", &at, &[("Content-Range", "0-4")], "hello").await;
    assert_eq!((first.status, first.header("range"), first.header("location")), (202, "0-4", at.as_str()));
    for range in ["0-4", "4-6", "6-8", "5-8", "x", "bytes 5-7/8"] {
        let refused = house.as_admin("PATCH", &at, &[("Content-Range", range)], "abc").await;
        assert_eq!((refused.status, refused.header("range")), (416, "0-4"), "{range}: {}", refused.text());
        assert_eq!(refused.header("location"), at);
    }
    let status = house.as_admin("GET", &at, &[], "").await;
    assert_eq!((status.status, status.header("range")), (204, "0-4"));
    assert_eq!(house.send("GET", &at, &[], "").await.status, 401);
    let digest = Digest::sha256_of(b"hello, world");
    let wrong = house.as_admin("PUT", &format!("{at}?digest={}", Digest::sha256_of(b"")), &[], "").await;
    assert_eq!((wrong.status, wrong.json()["errors"][0]["code"].as_str()), (400, Some("DIGEST_INVALID")));
    let done = house.as_admin("PUT", &format!("{at}?digest={digest}"), &[("Content-Range", "5-11")], ", world").await;
    assert_eq!((done.status, done.header("docker-content-digest")), (201, digest.to_string().as_str()));
    let pulled = house.send("GET", done.header("location"), &[("Range", "bytes=-5")], "").await;
    assert_eq!((pulled.status, pulled.text().as_str()), (206, "world"));
    assert_eq!(house.as_admin("GET", &at, &[], "").await.status, 404, "the session has ended");
    let begun = house.as_admin("POST", "/v2/rel/app/blobs/uploads/", &[], "").await;
    let cancelled = house.as_admin("DELETE", begun.header("location"), &[], "").await;
    assert_eq!(cancelled.status, 204);
    assert_eq!(house.files(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_tags_lists_and_deletes() {
    let house = Hosted::start();
    let layer = house.push_blob("rel/app", b"layer").await;
    house.push_blob("rel/app", b"{}").await;
    let text = manifest(&[(layer, 5)]);
    let digest = Digest::sha256_of(text.as_bytes());
    let typed = [("Content-Type", IMAGE)];
    let many = format!("/v2/rel/app/manifests/{digest}?tag=b&tag=a&tag=v1");
    let pushed = house.as_admin("PUT", &many, &typed, text.clone()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let tags: Vec<_> = pushed.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().unwrap()).collect();
    assert_eq!(tags, ["b", "a", "v1"]);
    assert_eq!(pushed.header("location"), format!("/v2/rel/app/manifests/{digest}"));

    let pulled = house.send("GET", "/v2/rel/app/manifests/a", &[], "").await;
    assert_eq!((pulled.status, pulled.text(), pulled.header("content-type")), (200, text.clone(), IMAGE));
    assert_eq!((pulled.header("cache-control"), pulled.header("age")), ("no-cache", "0"));
    let etag = format!("\"{digest}\"");
    assert_eq!(house.send("GET", "/v2/rel/app/manifests/a", &[("If-None-Match", &etag)], "").await.status, 304);

    let page = house.send("GET", "/v2/rel/app/tags/list?n=2", &[], "").await;
    assert_eq!(page.json(), json!({ "name": "rel/app", "tags": ["a", "b"] }));
    assert_eq!(page.header("link"), "</v2/rel/app/tags/list?n=2&last=b>; rel=\"next\"");
    assert_eq!(house.send("GET", "/v2/rel/app/tags/list?last=b", &[], "").await.json()["tags"], json!(["v1"]));
    assert_eq!(house.send("GET", "/v2/rel/nothing/tags/list", &[], "").await.status, 404);
    house.as_admin("POST", &format!("/v2/lab/team/x/blobs/uploads/?mount={layer}&from=rel/app"), &[], "").await;
    let named = house.send("GET", "/v2/_catalog", &[], "").await;
    assert_eq!(named.json(), json!({ "repositories": ["rel/app"] }), "a name without a manifest is none yet");

    let sbom = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/vnd.example.sbom",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256_of(b"{}"), "size": 2 },
        "layers": [], "subject": { "mediaType": IMAGE, "digest": digest, "size": text.len() },
        "annotations": { "by": "ci" },
    });
    let referring = house.as_admin("PUT", "/v2/rel/app/manifests/sbom", &typed, sbom.to_string()).await;
    assert_eq!((referring.status, referring.header("oci-subject")), (201, digest.to_string().as_str()));
    let of = |query: &str| format!("/v2/rel/app/referrers/{digest}{query}");
    let listed = house.send("GET", &of("?artifactType=application/vnd.example.sbom"), &[], "").await;
    assert_eq!(listed.header("oci-filters-applied"), "artifactType");
    assert_eq!(listed.json()["manifests"][0]["annotations"], json!({ "by": "ci" }));
    assert_eq!(house.send("GET", &of("?artifactType=x/y"), &[], "").await.json()["manifests"], json!([]));

    let moved = house.as_admin("PUT", "/v2/rel/app/manifests/v1", &typed, manifest(&[])).await;
    assert_eq!((moved.status, moved.json()["errors"][0]["code"].as_str()), (403, Some("DENIED")));
    for path in ["manifests/v1".to_owned(), format!("manifests/{digest}"), format!("blobs/{layer}")] {
        let kept = house.as_admin("DELETE", &format!("/v2/rel/app/{path}"), &[], "").await;
        assert!(kept.status == 403 && kept.error_messages().contains("immutable tag 'v1'"), "{path}: {}", kept.text());
    }
    assert_eq!(house.as_admin("DELETE", "/v2/rel/app/manifests/a", &[], "").await.status, 202);
    assert_eq!(house.send("GET", "/v2/rel/app/manifests/a", &[], "").await.status, 404);
    assert_eq!(house.as_admin("DELETE", "/v2/rel/app/manifests/a", &[], "").await.status, 404);
    assert_eq!(house.send("DELETE", "/v2/rel/app/manifests/b", &[], "").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_two_readers_could_take_for_two_things_are_refused() {
    let house = Hosted::start();
    house.push_blob("lab/app", b"{}").await;
    let good = manifest(&[]);
    let refused: [(&str, String); 8] = [
        (IMAGE, good.replacen('{', "{\"manifests\":[],", 1)),
        (IMAGE, good.replacen("\"layers\"", "\"layers\":[],\"layers\"", 1)),
        ("application/vnd.oci.image.index.v1+json", good.clone()),
        (IMAGE, format!("{good} x")),
        (IMAGE, good.replace("\"size\":2", "\"size\":-2")),
        (IMAGE, good.replace("\"size\":2", "\"size\":3")),
        ("application/vnd.docker.distribution.manifest.v1+json", r#"{"schemaVersion":1}"#.into()),
        ("application/vnd.example.thing.v1+json", r#"{"schemaVersion":2}"#.into()),
    ];
    for (content_type, text) in refused {
        let answer =
            house.send("PUT", "/v2/lab/app/manifests/x", &[("Content-Type", content_type)], text.clone()).await;
        let code = answer.json()["errors"][0]["code"].clone();
        assert_eq!((answer.status, code.as_str()), (400, Some("MANIFEST_INVALID")), "{text}: {}", answer.text());
    }
    let other = format!("/v2/lab/app/manifests/{}", Digest::sha256_of(b"other"));
    let answer = house.send("PUT", &other, &[("Content-Type", IMAGE)], good.clone()).await;
    assert_eq!((answer.status, answer.json()["errors"][0]["code"].as_str()), (400, Some("DIGEST_INVALID")));
    let large = vec![b' '; (4 << 20) + 1];
    assert_eq!(house.send("PUT", "/v2/lab/app/manifests/x", &[("Content-Type", IMAGE)], large).await.status, 413);
    assert_eq!(house.send("GET", "/v2/lab/app/manifests/x", &[], "").await.status, 404);
    assert_eq!(house.files().0, 1, "nothing of what was refused stays");
}

/// A client that reads nothing before it has sent everything, as simple ones do.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_still_reads_why_it_was_refused() {
    const TOO_MUCH: usize = 32 << 20;
    let house = Hosted::start();
    let address = house.transship.url().trim_start_matches("http://").to_owned();
    for (path, kind, status) in
        [("lab/app/manifests/x", IMAGE, "413"), ("rel/app/blobs/uploads/", "application/octet-stream", "401")]
    {
        let method = if status == "413" { "PUT" } else { "POST" };
        let head = format!(
            "{method} /v2/{path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {TOO_MUCH}\r\n\r\n"
        );
        let address = address.clone();
        let exchange = tokio::task::spawn_blocking(move || {
            let mut wire = std::net::TcpStream::connect(address).unwrap();
            wire.write_all(head.as_bytes()).unwrap();
            wire.write_all(&vec![b' '; TOO_MUCH]).unwrap();
            let mut answer = String::new();
            wire.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = exchange.await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("connection: close") && answer.contains("\"message\""), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_takes_no_pushes_and_a_hosted_repository_goes_only_when_it_is_empty() {
    let house = Hosted::start();
    let token = format!("Bearer {}", house.transship.admin_token());
    let api = async |method: &str, path: &str, body: serde_json::Value| {
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        house.send(method, path, &headers, body.to_string()).await
    };
    let proxy = json!({ "key": "hub", "kind": "proxy", "upstream": "https://registry.example.com" });
    assert_eq!(api("POST", "/api/repos", proxy).await.status, 201);
    let refused = house.as_admin("POST", "/v2/hub/app/blobs/uploads/", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    assert_eq!(api("POST", "/api/repos", json!({ "key": "own", "kind": "hosted" })).await.status, 201);
    let layer = house.push_blob("own/app", b"layer").await;
    assert_eq!(api("DELETE", "/api/repos/own", json!(null)).await.status, 409);
    let other_kind = json!({ "kind": "proxy", "upstream": "https://registry.example.com" });
    assert_eq!(api("PUT", "/api/repos/own", other_kind).await.status, 409);
    assert_eq!(api("PUT", "/api/repos/own", json!({ "kind": "hosted", "push": "anyone" })).await.status, 200);
    assert_eq!(house.send("DELETE", &format!("/v2/own/app/blobs/{layer}"), &[], "").await.status, 202);
    assert_eq!(api("DELETE", "/api/repos/own", json!(null)).await.status, 204);
}

/// Kills the program at random places of pushes and looks at what is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_pushes_loses_nothing_acknowledged_and_leaves_nothing() {
    const SIZE: usize = 4 << 20;
    let seed = std::env::var("TRANSSHIP_TEST_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("TRANSSHIP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut house = Hosted::start();
    let mut acknowledged: Vec<(Digest, Vec<u8>)> = Vec::new();
    for point in 0..8 {
        let bytes = image::blob(seed ^ point, SIZE).to_vec();
        let digest = Digest::sha256_of(&bytes);
        let begun = house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await;
        let at = begun.header("location").to_owned();
        let (sent, half) = (random.usize(1..SIZE), random.usize(1..SIZE));
        let first = house.send("PATCH", &at, &[], bytes[..sent].to_vec()).await;
        assert_eq!(first.status, 202);
        // A second request is under way when the program is killed: its body never ends.
        let (feed, pieces) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let body = stream::unfold(pieces, async |mut pieces| {
            pieces.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), pieces))
        });
        let request = house.client.patch(format!("{}{at}", house.transship.url()));
        let cut = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
        let more = half.min(SIZE - sent);
        feed.send(bytes[sent..sent + more].to_vec()).await.unwrap();
        let file = house.transship.cache_dir().join("hosted/uploads").join(at.rsplit('/').next().unwrap());
        let grown = || std::fs::metadata(&file).map_or(0, |facts| facts.len()) > sent as u64 || more < (256 << 10);
        assert!(comes_true(grown).await, "point {point}: the second request is written");
        house.transship.kill();
        assert!(cut.await.unwrap().is_err());
        drop(feed);
        house.transship.start_again();

        let status = house.send("GET", &at, &[], "").await;
        let here: usize = status.header("range").strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1;
        assert!(here >= sent && here <= sent + more, "point {point}: {here} of {sent} and {more}");
        assert_eq!(house.send("GET", &format!("/v2/lab/app/blobs/{digest}"), &[], "").await.status, 404, "not yet");
        let done = house.send("PUT", &format!("{at}?digest={digest}"), &[], bytes[here..].to_vec()).await;
        assert_eq!(done.status, 201, "point {point}: {}", done.text());
        if point % 2 == 0 {
            // Acknowledged a moment ago.
            house.transship.kill();
            house.transship.start_again();
        }
        acknowledged.push((digest, bytes));
        for (digest, bytes) in &acknowledged {
            let pulled = house.send("GET", &format!("/v2/lab/app/blobs/{digest}"), &[], "").await;
            assert!(pulled.status == 200 && pulled.body == *bytes, "point {point}: {digest}: {}", pulled.status);
        }
        assert_eq!(house.files(), (acknowledged.len(), 0), "point {point}");
    }
}
