//! Many callers at once.

use std::sync::Arc;

use bytes::Bytes;
use oci::Digest;
use tokio::task::JoinSet;

use super::{Fixture, sample};

/// Whoever comes first, every publisher and putter of one digest succeeds, and one blob is there.
pub async fn many_publish_and_put_one_digest(fixture: &Fixture) {
    for round in 0..10 {
        let bytes = sample(1_000 + round, 50_000);
        let digest = Digest::sha256_of(&bytes);
        let staged = fixture.stage(&bytes);
        let mut callers = JoinSet::new();
        for caller in 0..32 {
            let (store, staged, bytes) = (Arc::clone(&fixture.store), staged.clone(), bytes.clone());
            callers.spawn(async move {
                if caller % 2 == 0 { store.publish(&staged).await } else { store.put(&digest, bytes).await }
            });
        }
        while let Some(outcome) = callers.join_next().await {
            outcome.expect("no caller panics").expect("every caller succeeds");
        }
        fixture.assert_holds_only(&[&bytes]).await;
        fixture.store.delete(&digest).await.expect("delete works");
    }
    fixture.assert_holds_only(&[]).await;
}

/// While a blob comes and goes, a reader gets the whole blob or none, never a part or another one.
pub async fn open_during_delete_gives_all_or_nothing(fixture: &Fixture) {
    let bytes = sample(2_000, 150_000);
    let digest = Digest::sha256_of(&bytes);
    let mut callers = JoinSet::new();
    for _ in 0..2 {
        let (store, bytes) = (Arc::clone(&fixture.store), bytes.clone());
        callers.spawn(async move {
            for _ in 0..40 {
                store.put(&digest, bytes.clone()).await.expect("put works");
                store.delete(&digest).await.expect("delete works");
            }
            0
        });
    }
    for _ in 0..4 {
        let (store, bytes, pool) = (Arc::clone(&fixture.store), bytes.clone(), fixture.pool.clone());
        callers.spawn(async move {
            let mut seen = 0;
            for _ in 0..100 {
                let Some(blob) = store.open(&digest).await.expect("open works") else { continue };
                let read = blob.read_at(0, 1 << 20, &pool).await.expect("an open blob is readable");
                assert_eq!(read, bytes);
                seen += 1;
            }
            seen
        });
    }
    while let Some(outcome) = callers.join_next().await {
        outcome.expect("no caller panics");
    }
    fixture.store.delete(&digest).await.expect("delete works");
    fixture.assert_holds_only(&[]).await;
}

/// Of many that delete one blob, exactly one is told the bytes it freed: the books of the budget stay right.
pub async fn each_deletion_is_counted_once(fixture: &Fixture) {
    let mut freed = 0;
    for round in 0..40 {
        let bytes = sample(3_000 + round, 1_000);
        let digest = Digest::sha256_of(&bytes);
        fixture.store.put(&digest, bytes).await.expect("put works");
        let mut callers = JoinSet::new();
        for _ in 0..16 {
            let store = Arc::clone(&fixture.store);
            callers.spawn(async move { store.delete(&digest).await.expect("delete works") });
        }
        while let Some(outcome) = callers.join_next().await {
            freed += outcome.expect("no caller panics").unwrap_or(0);
        }
    }
    assert_eq!(freed, 40_000);
    fixture.assert_holds_only(&[]).await;
}

/// Blobs that arrive together do not disturb each other, whichever way they arrive, and listings meanwhile never fail.
pub async fn many_digests_at_once(fixture: &Fixture) {
    let blobs: Vec<Bytes> = (0..64).map(|seed| sample(4_000 + seed, 3_000)).collect();
    let mut callers = JoinSet::new();
    for (index, bytes) in blobs.iter().cloned().enumerate() {
        let store = Arc::clone(&fixture.store);
        let staged = (index % 2 == 0).then(|| fixture.stage(&bytes));
        callers.spawn(async move {
            match staged {
                Some(staged) => store.publish(&staged).await.expect("publish works"),
                None => store.put(&Digest::sha256_of(&bytes), bytes).await.expect("put works"),
            }
            store.list().await.expect("a listing meanwhile works");
        });
    }
    while let Some(outcome) = callers.join_next().await {
        outcome.expect("no caller panics");
    }
    let expected: Vec<&[u8]> = blobs.iter().map(Bytes::as_ref).collect();
    fixture.assert_holds_only(&expected).await;
}
