//! A soak: clients push, pull, tag, delete and mount at random while garbage is collected every second, and each of their
//! answers is compared with what a model allows.
//!
//! Must not know: how anything is stored. Invariants: names of a client's own have an exact model, names that clients share
//! one of what may be; what depends on how long a lease has run is decided by clocks, never by hope; in the end every byte on
//! the disk is accounted for. `TRANSSHIP_SOAK_SECONDS` says how long (`make soak`: half an hour), `TRANSSHIP_TEST_SEED` which
//! random numbers.

mod own;
mod shared;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oci::Digest;
use serde_json::json;
use testkit::transship_process::TransshipSetup;

use self::own::OwnName;
use self::shared::SharedName;
use self::wire::{Pool, Wire};
use crate::lab::metric_in;
use crate::push::Hosted;
use crate::push_kills::{listed, stored};

const CLIENTS: u64 = 5;
const SECONDS: u64 = 20;
/// What a client was told of stays so long at least.
const LEASE: Duration = Duration::from_secs(4);

fn environment(name: &str, otherwise: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| otherwise(), |text| text.parse().unwrap())
}

/// One client: its own names, and those it shares.
async fn client(wire: Wire, seed: u64, number: u64, shared: Vec<Arc<SharedName>>, end: Instant) -> Vec<OwnName> {
    let mut random = fastrand::Rng::with_seed(seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut own: Vec<OwnName> =
        [("lab", 0), ("two", 1)].map(|(repo, at)| OwnName::new(format!("{repo}/own{number}"), 2 * number + at)).into();
    while Instant::now() < end {
        if random.u8(..) < 180 {
            let at = random.usize(..own.len());
            let (first, rest) = own.split_at_mut(1);
            let (name, other) = if at == 0 { (&mut first[0], &rest[0]) } else { (&mut rest[0], &first[0]) };
            name.step(&wire, other, &mut random).await;
        } else {
            let name = &shared[random.usize(..shared.len())];
            name.step(&wire, &mut random).await;
        }
    }
    own
}

/// All manifests that are there now, by name, and what they list.
async fn there(wire: &Wire, own: &[OwnName], shared: &[Arc<SharedName>]) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    let mut keep = |digest: &Digest, text: &str, gone: &dyn Fn(&Digest) -> bool| {
        needed.insert(*digest);
        needed.extend(listed(text).into_iter().filter(|child| !gone(child)));
    };
    for name in own {
        name.check(wire).await;
        for (digest, text) in &name.manifests {
            keep(digest, text, &|child| !name.has(child));
        }
    }
    for name in shared {
        for (digest, text) in name.pushed() {
            let got = wire.get(&format!("{}/manifests/{digest}", name.path)).await;
            assert!(got.status == 200 && got.text() == text || got.status == 404, "{digest}: {}", got.status);
            if got.status == 200 {
                keep(&digest, &text, &|_| false);
            }
        }
    }
    needed
}

/// What stands in the folder of pushes besides blobs.
fn beside(root: &Path) -> BTreeMap<String, usize> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: &Path| if path.is_dir() { std::fs::read_dir(path).unwrap().count() } else { 0 };
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), count(&path))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_pushes_pulls_and_deletes_beside_garbage_collection_are_as_the_model_says() {
    let seed = environment("TRANSSHIP_TEST_SEED", || fastrand::u64(..));
    let seconds = environment("TRANSSHIP_SOAK_SECONDS", || SECONDS);
    println!("TRANSSHIP_TEST_SEED={seed}");
    let open = json!({ "kind": "hosted", "push": "anyone" });
    let house = Hosted::set_up(
        &json!({
            "repos": { "lab": open, "two": open },
            "gc": { "interval": "1s", "grace": "1s", "lease": format!("{}s", LEASE.as_secs()) },
            "log": { "level": "warn" },
        }),
        TransshipSetup::default(),
    );
    let wire = Wire::new(&house.transship.url(), Arc::new(Pool::new(seed, 2 * CLIENTS)));
    let shared: Vec<_> = ["lab/shared", "two/shared"].map(|path| Arc::new(SharedName::new(path))).into_iter().collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients = (0..CLIENTS).map(|number| tokio::spawn(client(wire.clone(), seed, number, shared.clone(), end)));
    let mut own = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        own.extend(client.await.unwrap());
    }
    let metrics = house.send("GET", "/metrics", &[], "").await.text();
    let metric = |name: &str| metric_in(&metrics, name).unwrap_or_default();
    let (runs, collected) =
        (metric("transship_gc_runs_total{end=\"completed\"}"), metric("transship_gc_collected_total"));
    println!("{seconds} s, seed {seed}: {}", wire.told());
    let freed = metric("transship_gc_freed_bytes_total");
    println!("{runs} collections took {collected} parts and freed {freed} bytes");
    assert!(runs >= 2.0 && collected > 0.0 && freed > 0.0, "garbage was collected meanwhile");
    assert!(metric("transship_gc_runs_total{end=\"failed\"}") < 1.0);

    house.gc_all().await;
    let needed = there(&wire, &own, &shared).await;
    let root = house.transship.cache_dir().join("hosted");
    let stored = stored(&root);
    assert_eq!(
        stored.symmetric_difference(&needed).collect::<Vec<_>>(),
        Vec::<&Digest>::new(),
        "every byte is accounted for"
    );
    let expected =
        [("blobs", 2), ("reserve", 0), ("store-id", 0), ("uploads", 0)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(beside(&root), BTreeMap::from(expected));
    let log = house.transship.log_text();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    println!("{} blobs on the disk, all accounted for", stored.len());
}
