//! A name that one client alone uses: what is there is known exactly, except where a lease has run out.
//!
//! Must not know: other clients. Invariant: an answer that the model does not allow ends the soak with what it was.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use oci::Digest;

use super::LEASE;
use super::wire::{Wire, index};
use crate::push_kills::listed;

const MOST_MANIFESTS: usize = 30;

/// Whether a blob is under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    Gone,
    /// Nothing needs it and its lease is over: a collection may have been there or not.
    Unsure,
}

impl Presence {
    fn allows(self, here: bool) -> bool {
        match self {
            Self::Here => here,
            Self::Gone => !here,
            Self::Unsure => true,
        }
    }
}

pub(super) struct OwnName {
    pub(super) path: String,
    number: u64,
    /// Blobs that were linked, and when the last request began that was told so.
    blobs: BTreeMap<Digest, Instant>,
    pub(super) manifests: BTreeMap<Digest, String>,
    tags: BTreeMap<String, Digest>,
}

impl OwnName {
    pub(super) fn new(path: String, number: u64) -> Self {
        Self { path, number, blobs: BTreeMap::new(), manifests: BTreeMap::new(), tags: BTreeMap::new() }
    }

    /// Whether a blob or manifest was not taken away by this client.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest) || self.manifests.contains_key(digest)
    }

    /// As it must be at the end of a request that ends now.
    fn presence(&self, digest: &Digest) -> Presence {
        let Some(told) = self.blobs.get(digest) else { return Presence::Gone };
        if self.manifests.values().any(|text| listed(text).contains(digest)) || told.elapsed() < LEASE {
            Presence::Here
        } else {
            Presence::Unsure
        }
    }

    /// Does one thing.
    pub(super) async fn step(&mut self, wire: &Wire, other: &Self, random: &mut fastrand::Rng) {
        match random.u8(0..100) {
            // What is pushed is deleted again, or the last of many hours would look at all of it.
            _ if self.manifests.len() > MOST_MANIFESTS => self.delete_manifest(wire, random).await,
            0..35 => self.push_image(wire, random).await,
            35..58 => self.pull(wire, random).await,
            58..66 => self.delete_tag(wire, random).await,
            66..76 => self.delete_manifest(wire, random).await,
            76..80 => self.delete_blob(wire, random).await,
            80..90 => self.mount(wire, other, random).await,
            90..95 => self.push_index(wire, random).await,
            95..98 => self.refer(wire, random).await,
            _ => self.list_tags(wire).await,
        }
    }

    /// Makes sure that a blob is here, as clients do: some ask first.
    async fn bring(&mut self, wire: &Wire, digest: &Digest, random: &mut fastrand::Rng) {
        if random.bool() {
            let begun = Instant::now();
            let answer = wire.send("HEAD", &format!("{}/blobs/{digest}", self.path), &[], Vec::new()).await;
            let expected = self.presence(digest);
            assert!(expected.allows(answer.status == 200), "{}: HEAD {digest}: {expected:?}", self.path);
            assert!(matches!(answer.status, 200 | 404), "{}", answer.status);
            if answer.status == 200 {
                self.blobs.insert(*digest, begun);
                return;
            }
            self.blobs.remove(digest);
        }
        let begun = wire.upload(&self.path, digest, random).await;
        self.blobs.insert(*digest, begun);
    }

    async fn push_image(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let blobs: Vec<_> = (0..random.usize(1..5)).map(|_| wire.pool.any(self.number, random)).collect();
        for digest in &blobs {
            self.bring(wire, digest, random).await;
        }
        if random.u8(..) < 20 {
            // Collections come and go before the manifest does; now and then, so does the lease.
            tokio::time::sleep(Duration::from_millis(random.u64(0..5000))).await;
        }
        let text = wire.pool.manifest(&blobs, random.u8(0..3), None);
        self.put(wire, text, random).await;
    }

    async fn put(&mut self, wire: &Wire, text: String, random: &mut fastrand::Rng) {
        let digest = Digest::sha256_of(text.as_bytes());
        let tags: Vec<String> = (0..random.usize(0..3)).map(|_| format!("t{}", random.u8(0..8))).collect();
        let path = match tags.as_slice() {
            [] => format!("{}/manifests/{digest}", self.path),
            [tag] => format!("{}/manifests/{tag}", self.path),
            many => format!("{}/manifests/{digest}?tag={}", self.path, many.join("&tag=")),
        };
        let taken = wire.put_manifest(&path, &text).await;
        let parts: Vec<_> = listed(&text).into_iter().filter(|part| !self.manifests.contains_key(part)).collect();
        let expected: Vec<_> = parts.iter().map(|part| self.presence(part)).collect();
        if expected.contains(&Presence::Gone) {
            assert!(!taken, "{path}: taken without {parts:?}: {expected:?}");
        } else if !expected.contains(&Presence::Unsure) {
            assert!(taken, "{path}: not taken with {parts:?}: {expected:?}");
        }
        if taken {
            self.tags.extend(tags.into_iter().map(|tag| (tag, digest)));
            self.manifests.insert(digest, text);
        }
    }

    fn any_manifest(&self, random: &mut fastrand::Rng) -> Option<(Digest, String)> {
        if self.manifests.is_empty() {
            return None;
        }
        self.manifests.iter().nth(random.usize(..self.manifests.len())).map(|(digest, text)| (*digest, text.clone()))
    }

    async fn pull(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let tag = format!("t{}", random.u8(0..8));
        let got = wire.get(&format!("{}/manifests/{tag}", self.path)).await;
        let Some(digest) = self.tags.get(&tag) else {
            assert_eq!(got.status, 404, "{}:{tag}", self.path);
            return;
        };
        let text = self.manifests[digest].clone();
        assert!(got.status == 200 && got.text() == text, "{}:{tag}: {}", self.path, got.status);
        for part in listed(&text) {
            self.check_part(wire, &part).await;
        }
    }

    async fn check_part(&self, wire: &Wire, part: &Digest) {
        if let Some(text) = self.manifests.get(part) {
            let got = wire.get(&format!("{}/manifests/{part}", self.path)).await;
            assert!(got.status == 200 && got.text() == *text, "{}@{part}: {}", self.path, got.status);
            return;
        }
        let got = wire.get(&format!("{}/blobs/{part}", self.path)).await;
        let expected = self.presence(part);
        assert!(expected.allows(got.status == 200), "{}: GET {part}: {expected:?}, {}", self.path, got.status);
        if got.status == 200 {
            assert!(got.body == wire.pool.bytes(part), "{}: other bytes of {part}", self.path);
        }
    }

    async fn delete_tag(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let tag = format!("t{}", random.u8(0..8));
        let answer = wire.send("DELETE", &format!("{}/manifests/{tag}", self.path), &[], Vec::new()).await;
        let expected = if self.tags.remove(&tag).is_some() { 202 } else { 404 };
        assert_eq!(answer.status, expected, "{}:{tag}", self.path);
    }

    async fn delete_manifest(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let Some((digest, _)) = self.any_manifest(random) else { return };
        let answer = wire.send("DELETE", &format!("{}/manifests/{digest}", self.path), &[], Vec::new()).await;
        assert_eq!(answer.status, 202, "{}@{digest}", self.path);
        self.manifests.remove(&digest);
        self.tags.retain(|_, points| *points != digest);
    }

    async fn delete_blob(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let digest = wire.pool.any(self.number, random);
        let answer = wire.send("DELETE", &format!("{}/blobs/{digest}", self.path), &[], Vec::new()).await;
        let expected = self.presence(&digest);
        assert!(matches!(answer.status, 202 | 404), "{}", answer.status);
        assert!(expected.allows(answer.status == 202), "{}: DELETE {digest}: {expected:?}", self.path);
        self.blobs.remove(&digest);
    }

    async fn mount(&mut self, wire: &Wire, other: &Self, random: &mut fastrand::Rng) {
        let digest = wire.pool.any(if random.bool() { self.number } else { other.number }, random);
        let from = random.bool().then_some(other.path.as_str());
        let begun = Instant::now();
        let mounted = wire.mount(&self.path, &digest, from).await;
        let expected = match from {
            Some(_) => other.presence(&digest),
            // Others may have it.
            None if self.presence(&digest) == Presence::Here || other.presence(&digest) == Presence::Here => {
                Presence::Here
            }
            None => Presence::Unsure,
        };
        assert!(expected.allows(mounted), "{}: mount of {digest} from {from:?}: {expected:?}", self.path);
        if mounted {
            self.blobs.insert(digest, begun);
        }
    }

    async fn push_index(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let (Some(one), Some(two)) = (self.any_manifest(random), self.any_manifest(random)) else { return };
        let text = index(&[(&one.0, &one.1), (&two.0, &two.1)]);
        if text.len() < 2000 {
            self.put(wire, text, random).await;
        }
    }

    /// Pushes what refers to a manifest, and looks for it in the list.
    async fn refer(&mut self, wire: &Wire, random: &mut fastrand::Rng) {
        let Some((subject, text)) = self.any_manifest(random) else { return };
        let blob = wire.pool.any(self.number, random);
        self.bring(wire, &blob, random).await;
        let signature = wire.pool.manifest(&[blob], random.u8(0..3), Some((&subject, text.len())));
        self.put(wire, signature, random).await;
        let refers = |text: &str| {
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            document["subject"]["digest"] == subject.to_string()
        };
        let expected: Vec<&Digest> =
            self.manifests.iter().filter(|(_, text)| refers(text)).map(|(digest, _)| digest).collect();
        let got = wire.get(&format!("{}/referrers/{subject}", self.path)).await.json();
        let listed: Vec<Digest> = got["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["digest"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{}: referrers of {subject}", self.path);
    }

    async fn list_tags(&self, wire: &Wire) {
        let got = wire.get(&format!("{}/tags/list", self.path)).await;
        let expected: Vec<&String> = self.tags.keys().collect();
        match got.status {
            404 => assert!(self.manifests.is_empty() && expected.is_empty(), "{}", self.path),
            _ => assert_eq!(got.json()["tags"], serde_json::json!(expected), "{}", self.path),
        }
    }

    /// Looks at everything.
    pub(super) async fn check(&self, wire: &Wire) {
        self.list_tags(wire).await;
        for (tag, digest) in &self.tags {
            let got = wire.get(&format!("{}/manifests/{tag}", self.path)).await;
            assert!(got.status == 200 && got.text() == self.manifests[digest], "{}:{tag}: {}", self.path, got.status);
        }
        for (digest, text) in &self.manifests {
            self.check_part(wire, digest).await;
            for part in listed(text) {
                self.check_part(wire, &part).await;
            }
        }
    }
}
