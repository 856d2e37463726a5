//! `kill -9` at twenty points of pushes, deletes and garbage collection: each verb is killed while it is at work.
//!
//! Must not know: what is written when. Invariants: the moments are random and printed, so that a failure can be run again
//! with `TRANSSHIP_TEST_SEED`; what was acknowledged is there with its bytes, what was not is there whole or not at all;
//! in the end the disk holds what the answers say and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use oci::Digest;
use reqwest::Client;
use serde_json::json;
use testkit::image;

use crate::gc::by_hand;
use crate::http::{self, Answer};
use crate::push::{Hosted, IMAGE, manifest};

const NAME: &str = "lab/app";

/// One thing a client does, to be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Patch,
    LastPut,
    OneRequest,
    Mount,
    Manifest,
    ManyTags,
    DeleteTag,
    DeleteManifest,
    Condemn,
    Collect,
}

const VERBS: [Verb; 10] = [
    Verb::Patch,
    Verb::LastPut,
    Verb::OneRequest,
    Verb::Mount,
    Verb::Manifest,
    Verb::ManyTags,
    Verb::DeleteTag,
    Verb::DeleteManifest,
    Verb::Condemn,
    Verb::Collect,
];

/// A request, as a task of its own sends it.
struct Cut {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What must be there.
#[derive(Default)]
struct Expected {
    blobs: BTreeMap<(String, Digest), Vec<u8>>,
    manifests: BTreeMap<Digest, String>,
    tags: BTreeMap<String, Digest>,
}

struct Story {
    house: Hosted,
    random: fastrand::Rng,
    expected: Expected,
    next: u64,
    /// Requests that the program did not live to answer.
    unanswered: u64,
}

impl Story {
    /// Bytes that no other point has.
    fn fresh(&mut self, size: usize) -> Vec<u8> {
        self.next += 1;
        image::blob(self.random.get_seed() ^ self.next, size).to_vec()
    }

    async fn push(&mut self, size: usize) -> (Digest, usize) {
        let bytes = self.fresh(size);
        let digest = self.house.push_blob(NAME, &bytes).await;
        self.expected.blobs.insert((NAME.into(), digest), bytes);
        (digest, size)
    }

    /// Pushes an image of its own under a tag.
    async fn image(&mut self, tag: &str) -> Digest {
        let layer = self.push(20_000).await;
        let text = manifest(&[layer]);
        let answer = self.send(&Cut::manifest(&format!("manifests/{tag}"), &text)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let digest = Digest::sha256_of(text.as_bytes());
        self.expected.manifests.insert(digest, text);
        self.expected.tags.insert(tag.into(), digest);
        digest
    }

    async fn send(&self, cut: &Cut) -> Answer {
        send(self.house.client.clone(), self.house.transship.url(), cut).await.unwrap()
    }

    /// Sends a request, kills the program while it is at work on it, and starts it again. What was answered, if anything was.
    async fn kill_during(&mut self, cut: Cut) -> Option<u16> {
        let (client, url) = (self.house.client.clone(), self.house.transship.url());
        let after = Duration::from_micros(self.random.u64(0..6000));
        let request = tokio::spawn(async move { send(client, url, &cut).await });
        tokio::time::sleep(after).await;
        self.house.transship.kill();
        let answered = request.await.unwrap().map(|answer| answer.status);
        self.house.transship.start_again();
        self.unanswered += u64::from(answered.is_none());
        answered
    }

    async fn get(&self, path: &str) -> Answer {
        self.house.send("GET", &format!("/v2/{path}"), &[], "").await
    }

    /// Everything that was acknowledged is there as it was pushed.
    async fn check(&self, point: &str) {
        for ((name, digest), bytes) in &self.expected.blobs {
            let got = self.get(&format!("{name}/blobs/{digest}")).await;
            assert!(got.status == 200 && got.body == *bytes, "{point}: {name}@{digest}: {}", got.status);
        }
        for (digest, text) in &self.expected.manifests {
            let got = self.get(&format!("{NAME}/manifests/{digest}")).await;
            assert!(got.status == 200 && got.text() == *text, "{point}: {digest}: {}", got.status);
        }
        for (tag, digest) in &self.expected.tags {
            let got = self.get(&format!("{NAME}/manifests/{tag}")).await;
            assert_eq!(
                (got.status, got.header("docker-content-digest")),
                (200, &*digest.to_string()),
                "{point}: {tag}"
            );
        }
        let listed = self.get(&format!("{NAME}/tags/list")).await;
        if listed.status == 200 {
            let tags: Vec<&String> = self.expected.tags.keys().collect();
            assert_eq!(listed.json()["tags"], json!(tags), "{point}");
        }
    }
}

impl Cut {
    fn new(method: &'static str, path: String, body: Vec<u8>) -> Self {
        Self { method, path, headers: Vec::new(), body }
    }

    fn manifest(path: &str, text: &str) -> Self {
        let headers = vec![("Content-Type", IMAGE.to_owned())];
        Self { method: "PUT", path: format!("/v2/{NAME}/{path}"), headers, body: text.into() }
    }
}

/// `None`: no whole answer came.
async fn send(client: Client, url: String, cut: &Cut) -> Option<Answer> {
    let mut request = client.request(cut.method.parse().unwrap(), format!("{url}{}", cut.path)).body(cut.body.clone());
    for (name, value) in &cut.headers {
        request = request.header(*name, value);
    }
    let answer = http::collect(request.send().await.ok()?).await;
    answer.is_whole().then_some(answer)
}

impl Story {
    /// An upload that gets a chunk, its end, or everything in one request.
    async fn upload(&mut self, verb: Verb, point: &str) {
        let size = self.random.usize(300_000..1_500_000);
        let bytes = self.fresh(size);
        let digest = Digest::sha256_of(&bytes);
        let acknowledged = if verb == Verb::OneRequest {
            let path = format!("/v2/{NAME}/blobs/uploads/?digest={digest}");
            self.kill_during(Cut::new("POST", path, bytes.clone())).await == Some(201)
        } else {
            let begun = self.house.send("POST", &format!("/v2/{NAME}/blobs/uploads/"), &[], "").await;
            let at = begun.header("location").to_owned();
            let sent = self.random.usize(1..size);
            assert_eq!(self.house.send("PATCH", &at, &[], bytes[..sent].to_vec()).await.status, 202);
            let (method, path) =
                if verb == Verb::Patch { ("PATCH", at.clone()) } else { ("PUT", format!("{at}?digest={digest}")) };
            let answered = self.kill_during(Cut::new(method, path, bytes[sent..].to_vec())).await;
            let done = verb == Verb::LastPut && answered == Some(201);
            done || self.go_on(&at, &digest, &bytes, sent, point).await
        };
        let got = self.get(&format!("{NAME}/blobs/{digest}")).await;
        assert!(got.status == 404 || got.status == 200 && got.body == bytes, "{point}: half of a blob: {}", got.status);
        assert!(!acknowledged || got.status == 200, "{point}: an acknowledged blob is lost");
        if got.status == 200 {
            self.expected.blobs.insert((NAME.into(), digest), bytes);
        }
    }

    /// What an upload holds after a restart is a beginning of its bytes, and with the rest it becomes the blob.
    async fn go_on(&self, at: &str, digest: &Digest, bytes: &[u8], sent: usize, point: &str) -> bool {
        let status = self.house.send("GET", at, &[], "").await;
        if status.status == 404 {
            // Only a last PUT may have ended it; it may have become a blob that nobody was told of.
            return false;
        }
        let here: usize = status.header("range").strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1;
        assert!(here >= sent && here <= bytes.len(), "{point}: {here} bytes are here, {sent} were acknowledged");
        let done = self.house.send("PUT", &format!("{at}?digest={digest}"), &[], bytes[here..].to_vec()).await;
        assert_eq!(done.status, 201, "{point}: {}", done.text());
        true
    }

    async fn mount(&mut self, point: &str) {
        let (digest, _) = self.push(50_000).await;
        let other = format!("lab/other{}", self.next);
        let path = format!("/v2/{other}/blobs/uploads/?mount={digest}&from={NAME}");
        let answered = self.kill_during(Cut::new("POST", path, Vec::new())).await;
        let got = self.get(&format!("{other}/blobs/{digest}")).await;
        assert!(got.status == 200 || answered.is_none() && got.status == 404, "{point}: {answered:?}, {}", got.status);
        if got.status == 200 {
            let bytes = self.expected.blobs[&(NAME.to_owned(), digest)].clone();
            self.expected.blobs.insert((other, digest), bytes);
        }
    }

    async fn manifest(&mut self, verb: Verb, point: &str) {
        let layer = self.push(20_000).await;
        let text = manifest(&[layer]);
        let digest = Digest::sha256_of(text.as_bytes());
        let tags: Vec<String> = match verb {
            Verb::ManyTags => (0..20).map(|tag| format!("many-{}-{tag:02}", self.next)).collect(),
            _ => vec![format!("one-{}", self.next)],
        };
        let path = match verb {
            Verb::ManyTags => format!("manifests/{digest}?tag={}", tags.join("&tag=")),
            _ => format!("manifests/{}", tags[0]),
        };
        let answered = self.kill_during(Cut::manifest(&path, &text)).await;
        let there = self.get(&format!("{NAME}/manifests/{digest}")).await.status == 200;
        assert!(there || answered.is_none(), "{point}: an acknowledged manifest is lost");
        for tag in tags {
            let status = self.get(&format!("{NAME}/manifests/{tag}")).await.status;
            assert_eq!(status == 200, there, "{point}: {tag} came without the others");
            if there {
                self.expected.tags.insert(tag, digest);
            }
        }
        if there {
            self.expected.manifests.insert(digest, text);
        }
    }

    async fn delete(&mut self, verb: Verb, point: &str) {
        let tag = format!("gone-{}", self.next);
        let digest = self.image(&tag).await;
        let reference = if verb == Verb::DeleteTag { tag.clone() } else { digest.to_string() };
        let path = format!("/v2/{NAME}/manifests/{reference}");
        let answered = self.kill_during(Cut::new("DELETE", path, Vec::new())).await;
        let tagged = self.get(&format!("{NAME}/manifests/{tag}")).await.status == 200;
        let there = self.get(&format!("{NAME}/manifests/{digest}")).await.status == 200;
        assert!(answered.is_none() || !tagged, "{point}: an acknowledged delete is undone");
        assert_eq!(there, tagged || verb == Verb::DeleteTag, "{point}: half a delete");
        if !tagged {
            self.expected.tags.remove(&tag);
        }
        if !there {
            self.expected.manifests.remove(&digest);
        }
    }

    /// Garbage is condemned or collected while the program is killed. What is needed stays whatever happens; of what is not,
    /// nothing is known until it is looked at.
    async fn collect(&mut self, verb: Verb) {
        for _ in 0..8 {
            let bytes = self.fresh(30_000);
            self.house.push_blob(NAME, &bytes).await;
        }
        let needed: BTreeSet<Digest> = self.expected.manifests.values().flat_map(|text| listed(text)).collect();
        self.expected.blobs.retain(|(name, digest), _| name == NAME && needed.contains(digest));
        if verb == Verb::Collect {
            self.house.gc("").await;
        }
        let query = if verb == Verb::Collect { "?now=true" } else { "" };
        let token = format!("Bearer {}", self.house.transship.admin_token());
        let mut cut = Cut::new("POST", format!("/api/gc{query}"), Vec::new());
        cut.headers.push(("Authorization", token));
        self.kill_during(cut).await;
    }
}

/// The digests that have a file, each checked against its bytes.
pub(crate) fn stored(root: &Path) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for algorithm in ["sha256", "sha512"] {
        for shard in std::fs::read_dir(root.join("blobs").join(algorithm)).unwrap() {
            for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                let digest: Digest =
                    format!("{algorithm}:{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
                assert_eq!(Digest::of(digest.algorithm(), &bytes), digest, "what is stored is what it says it is");
                found.insert(digest);
            }
        }
    }
    found
}

/// What a manifest lists.
pub(crate) fn listed(text: &str) -> Vec<Digest> {
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let lists = ["layers", "manifests"].into_iter().filter_map(|list| document[list].as_array()).flatten();
    let all = document.get("config").into_iter().chain(lists);
    all.map(|child| child["digest"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_at_twenty_points_nothing_acknowledged_is_lost_and_nothing_half_is_left() {
    let seed = std::env::var("TRANSSHIP_TEST_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("TRANSSHIP_TEST_SEED={seed}");
    let house = Hosted::with(&json!({ "gc": by_hand() }));
    let mut story =
        Story { house, random: fastrand::Rng::with_seed(seed), expected: Expected::default(), next: 0, unanswered: 0 };
    story.house.push_blob(NAME, b"{}").await;
    story.image("first").await;
    for (number, verb) in VERBS.into_iter().cycle().take(2 * VERBS.len()).enumerate() {
        let point = format!("point {number}, {verb:?}");
        match verb {
            Verb::Patch | Verb::LastPut | Verb::OneRequest => story.upload(verb, &point).await,
            Verb::Mount => story.mount(&point).await,
            Verb::Manifest | Verb::ManyTags => story.manifest(verb, &point).await,
            Verb::DeleteTag | Verb::DeleteManifest => story.delete(verb, &point).await,
            Verb::Condemn | Verb::Collect => story.collect(verb).await,
        }
        story.check(&point).await;
    }
    println!("{} of {} requests were cut off", story.unanswered, 2 * VERBS.len());
    // Blobs that no manifest needs go; what is left is what can be pulled.
    story.house.gc_all().await;
    story.expected.blobs.clear();
    story.check("in the end").await;
    let manifests = &story.expected.manifests;
    let needed: BTreeSet<Digest> =
        manifests.values().flat_map(|text| listed(text)).chain(manifests.keys().copied()).collect();
    let root = story.house.transship.cache_dir().join("hosted");
    assert_eq!(stored(&root), needed, "files and answers say the same");
    assert_eq!(story.house.files().1, 0, "no upload is left");
    for digest in needed {
        let kind = if manifests.contains_key(&digest) { "manifests" } else { "blobs" };
        assert_eq!(story.get(&format!("{NAME}/{kind}/{digest}")).await.status, 200);
    }
    assert!(!story.house.transship.log_text().contains("damaged"), "{}", story.house.transship.log_text());
}
