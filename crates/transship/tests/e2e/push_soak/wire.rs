//! What clients of the soak push, and how they ask.
//!
//! Must not know: the model. Invariant: any answer of 5xx, and any that breaks off, ends the soak.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oci::Digest;
use reqwest::Client;
use serde_json::json;
use testkit::image;

use crate::http::{self, Answer};
use crate::push::IMAGE;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Blobs that are pushed under every name.
const COMMON: u64 = 40;
/// Blobs of each name alone: their bytes go when the name does not need them.
const PRIVATE: u64 = 30;

/// Blobs that clients push.
pub(super) struct Pool {
    order: Vec<Digest>,
    bytes: HashMap<Digest, Vec<u8>>,
}

impl Pool {
    /// Blobs for so many names.
    pub(super) fn new(seed: u64, names: u64) -> Self {
        let size = |number: u64| 100 + usize::try_from((number % COMMON).pow(2)).unwrap() * 150;
        let blobs = (0..COMMON + names * PRIVATE).map(|number| image::blob(seed ^ number, size(number)).to_vec());
        let blobs: Vec<_> = blobs.map(|bytes| (Digest::sha256_of(&bytes), bytes)).collect();
        Self { order: blobs.iter().map(|(digest, _)| *digest).collect(), bytes: blobs.into_iter().collect() }
    }

    /// A blob that others have too.
    pub(super) fn common(&self, random: &mut fastrand::Rng) -> Digest {
        self.order[random.usize(..usize::try_from(COMMON).unwrap())]
    }

    /// One of name `number`: others may have it, or not.
    pub(super) fn any(&self, number: u64, random: &mut fastrand::Rng) -> Digest {
        if random.bool() {
            return self.common(random);
        }
        self.order[usize::try_from(COMMON + number * PRIVATE + random.u64(..PRIVATE)).unwrap()]
    }

    pub(super) fn bytes(&self, digest: &Digest) -> &[u8] {
        &self.bytes[digest]
    }

    /// An image of these blobs, the first of which is its configuration.
    pub(super) fn manifest(&self, blobs: &[Digest], note: u8, subject: Option<(&Digest, usize)>) -> String {
        let blob = |digest: &Digest, kind: &str| {
            let media_type = format!("application/vnd.oci.image.{kind}");
            json!({ "mediaType": media_type, "digest": digest, "size": self.bytes(digest).len() })
        };
        let layers: Vec<_> = blobs[1..].iter().map(|digest| blob(digest, "layer.v1.tar")).collect();
        let config = blob(&blobs[0], "config.v1+json");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers, "annotations": { "note": note.to_string() },
        });
        if let Some((digest, size)) = subject {
            manifest["subject"] = json!({ "mediaType": IMAGE, "digest": digest, "size": size });
        }
        manifest.to_string()
    }
}

/// An index of these manifests.
pub(super) fn index(children: &[(&Digest, &String)]) -> String {
    let child = |(digest, text): &(&Digest, &String)| json!({ "mediaType": type_of(text), "digest": digest, "size": text.len() });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children.iter().map(child).collect::<Vec<_>>() })
        .to_string()
}

pub(super) fn type_of(manifest: &str) -> &'static str {
    if manifest.contains("\"manifests\"") { INDEX } else { IMAGE }
}

/// The way to the server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    client: Client,
    url: String,
    pub(super) pool: Arc<Pool>,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Wire {
    pub(super) fn new(url: &str, pool: Arc<Pool>) -> Self {
        // Connections are kept: half an hour of new ones would use up the ports.
        let client = Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(5)).build().unwrap();
        Self { client, url: url.to_owned(), pool, counts: Arc::default() }
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v2/{path}") };
        let answer = http::send(&self.client, method, &format!("{}{path}", self.url), headers, body).await;
        assert!(answer.status < 500 && answer.is_whole(), "{method} {path}: {} {}", answer.status, answer.text());
        *self.counts.lock().unwrap().entry(format!("{method} {}", answer.status)).or_default() += 1;
        answer
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    /// Pushes a manifest; true when it was taken, false when it lists what is not here.
    pub(super) async fn put_manifest(&self, path: &str, text: &str) -> bool {
        let answer = self.send("PUT", path, &[("Content-Type", type_of(text))], text.into()).await;
        match answer.status {
            201 => true,
            400 if answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN" => false,
            status => panic!("{path}: {status} {}", answer.text()),
        }
    }

    /// Pushes a blob in one of the ways there are; when the request that made it a blob began.
    pub(super) async fn upload(&self, name: &str, digest: &Digest, random: &mut fastrand::Rng) -> Instant {
        let bytes = self.pool.bytes(digest).to_vec();
        let uploads = format!("{name}/blobs/uploads/");
        let way = random.u8(0..3);
        if way == 0 {
            let begun = Instant::now();
            let answer = self.send("POST", &format!("{uploads}?digest={digest}"), &[], bytes).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            return begun;
        }
        let answer = self.send("POST", &uploads, &[], Vec::new()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let at = answer.header("location").to_owned();
        let mut sent = 0;
        if way == 2 {
            sent = random.usize(1..bytes.len());
            let range = format!("0-{}", sent - 1);
            let answer = self.send("PATCH", &at, &[("Content-Range", &range)], bytes[..sent].to_vec()).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
        let begun = Instant::now();
        let answer = self.send("PUT", &format!("{at}?digest={digest}"), &[], bytes[sent..].to_vec()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        begun
    }

    /// Asks for a mount; true when it is a link. What is begun instead is given up.
    pub(super) async fn mount(&self, name: &str, digest: &Digest, from: Option<&str>) -> bool {
        let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
        let answer = self.send("POST", &format!("{name}/blobs/uploads/?mount={digest}{from}"), &[], Vec::new()).await;
        if answer.status == 201 {
            return true;
        }
        assert_eq!(answer.status, 202, "{}", answer.text());
        let at = answer.header("location").to_owned();
        assert_eq!(self.send("DELETE", &at, &[], Vec::new()).await.status, 204);
        false
    }

    /// What was asked and answered so far.
    pub(super) fn told(&self) -> String {
        let counts = self.counts.lock().unwrap();
        let all: u64 = counts.values().sum();
        let parts: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        format!("{all} requests ({})", parts.join(", "))
    }
}
