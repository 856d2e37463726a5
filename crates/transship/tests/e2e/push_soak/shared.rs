//! A name that all clients use at once: what an answer may be, and what it may not be whoever came first.
//!
//! Must not know: which client asks. Invariants: what is read was pushed; a push whose blobs the same client was told of
//! within a lease is taken; a manifest that can be pulled has all its blobs, unless manifests are deleted meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use oci::Digest;

use super::LEASE;
use super::wire::Wire;
use crate::push_kills::listed;

pub(super) struct SharedName {
    pub(super) path: String,
    pushed: Mutex<BTreeMap<Digest, String>>,
    deletes_begun: AtomicU64,
    deletes_ended: AtomicU64,
}

impl SharedName {
    pub(super) fn new(path: &str) -> Self {
        let (deletes_begun, deletes_ended) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { path: path.to_owned(), pushed: Mutex::default(), deletes_begun, deletes_ended }
    }

    /// Every manifest that anybody tried to push.
    pub(super) fn pushed(&self) -> BTreeMap<Digest, String> {
        self.pushed.lock().unwrap().clone()
    }

    /// Does one thing.
    pub(super) async fn step(&self, wire: &Wire, random: &mut fastrand::Rng) {
        match random.u8(0..100) {
            0..40 => self.push(wire, random).await,
            40..75 => self.pull(wire, random).await,
            75..85 => self.delete(wire, &format!("s{}", random.u8(0..4))).await,
            85..95 => {
                let known: Vec<Digest> = self.pushed().into_keys().collect();
                if !known.is_empty() {
                    self.delete(wire, &known[random.usize(..known.len())].to_string()).await;
                }
            }
            _ => {
                let got = wire.get(&format!("{}/tags/list", self.path)).await;
                assert!(matches!(got.status, 200 | 404), "{}", got.text());
            }
        }
    }

    async fn push(&self, wire: &Wire, random: &mut fastrand::Rng) {
        let blobs: Vec<_> = (0..random.usize(1..3)).map(|_| wire.pool.common(random)).collect();
        let mut first = Instant::now();
        for digest in &blobs {
            let begun = Instant::now();
            let told = wire.send("HEAD", &format!("{}/blobs/{digest}", self.path), &[], Vec::new()).await;
            first = first.min(match told.status {
                200 => begun,
                404 => wire.upload(&self.path, digest, random).await,
                status => panic!("HEAD {digest}: {status}"),
            });
        }
        let text = wire.pool.manifest(&blobs, random.u8(0..3), None);
        self.pushed.lock().unwrap().insert(Digest::sha256_of(text.as_bytes()), text.clone());
        let path = format!("{}/manifests/s{}", self.path, random.u8(0..4));
        let taken = wire.put_manifest(&path, &text).await;
        assert!(
            taken || first.elapsed() >= LEASE,
            "{path}: a blob that this client was told of is gone within its lease"
        );
    }

    async fn pull(&self, wire: &Wire, random: &mut fastrand::Rng) {
        let ended = self.deletes_ended.load(Ordering::SeqCst);
        let quiet = self.deletes_begun.load(Ordering::SeqCst) == ended;
        let got = wire.get(&format!("{}/manifests/s{}", self.path, random.u8(0..4))).await;
        if got.status == 404 {
            return;
        }
        assert_eq!(got.status, 200, "{}", got.text());
        let known = self.pushed().get(&Digest::sha256_of(&got.body)).cloned();
        assert_eq!(known, Some(got.text()), "what is read was pushed");
        for part in listed(&got.text()) {
            let blob = wire.get(&format!("{}/blobs/{part}", self.path)).await;
            let undisturbed = quiet && self.deletes_begun.load(Ordering::SeqCst) == ended;
            assert!(blob.status == 200 || blob.status == 404 && !undisturbed, "{}@{part}: {}", self.path, blob.status);
            assert!(blob.status == 404 || blob.body == wire.pool.bytes(&part), "other bytes of {part}");
        }
    }

    async fn delete(&self, wire: &Wire, reference: &str) {
        self.deletes_begun.fetch_add(1, Ordering::SeqCst);
        let answer = wire.send("DELETE", &format!("{}/manifests/{reference}", self.path), &[], Vec::new()).await;
        self.deletes_ended.fetch_add(1, Ordering::SeqCst);
        assert!(matches!(answer.status, 202 | 404), "{reference}: {}", answer.text());
    }
}
