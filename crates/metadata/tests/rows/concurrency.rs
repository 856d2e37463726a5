//! Many at once: nobody meets a locked database, nothing is lost, a caller who leaves leaves nothing half done.

use std::sync::atomic::{AtomicU64, Ordering};

use metadata::{ManifestRow, Metadata, MetadataError};
use oci::{Digest, ManifestFacts, RepositoryName, Tag};
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, digest, parse};
use crate::tags::observation;

const TASKS: u64 = 48;
const ROUNDS: u64 = 12;

fn image(n: u64) -> (ManifestRow, ManifestFacts) {
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/json","digest":"{}","size":{n}}},"layers":[]}}"#,
        digest(&format!("config {n}")),
    );
    let facts = ManifestFacts::parse(text.as_bytes(), None).unwrap();
    let row = ManifestRow {
        digest: Digest::sha256_of(text.as_bytes()),
        media_type: facts.media_type.clone(),
        size: text.len() as u64,
    };
    (row, facts)
}

async fn work(metadata: Metadata, task: u64) -> Result<(), MetadataError> {
    let name: RepositoryName = parse("library/debian");
    for round in 0..ROUNDS {
        let n = task * ROUNDS + round;
        metadata.observe_tag(observation(&format!("image {n}"), n, n).of(&parse("hub"))).await?;
        let (row, facts) = image(n);
        metadata.put_manifest(&parse("hub"), &name, &row, &facts).await?;
        metadata.put_blob(&row.digest, row.size, at(n)).await?;
        assert!(metadata.is_linked(&parse("hub"), &name, &row.digest).await?, "own writes are seen at once");
        assert_eq!(metadata.find_manifest(&row.digest).await?.as_ref(), Some(&row));
        metadata.touch_blobs(&[(row.digest, at(n + 1))]).await?;
        metadata.list_blobs().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_and_writers_never_meet_a_lock() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(work(metadata.clone(), task));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap().unwrap();
    }
    assert_eq!(metadata.list_blobs().await.unwrap().len() as u64, TASKS * ROUNDS);
    let (name, tag): (RepositoryName, Tag) = (parse("library/debian"), parse("latest"));
    let last = metadata.find_tag(&parse("hub"), &name, &tag).await.unwrap().unwrap();
    assert_eq!(last.digest, digest(&format!("image {}", TASKS * ROUNDS - 1)), "the last question's answer stands");
    let newest = &metadata.tag_history(&parse("hub"), &name, &tag, 1).await.unwrap()[0];
    assert_eq!(newest.digest, Some(last.digest), "the history ends where the tag points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_inserts_of_a_key_wins() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let metadata = metadata.clone();
        tasks.spawn(async move { metadata.insert_repository(&parse("lab"), &task.to_string()).await });
    }
    let mut won = 0;
    while let Some(ended) = tasks.join_next().await {
        match ended.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, MetadataError::AlreadyExists { .. }), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_who_leave_in_the_middle_leave_all_or_nothing() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let name: RepositoryName = parse("library/debian");
    let started = std::sync::Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for n in 0..TASKS {
        let (metadata, name, started) = (metadata.clone(), name.clone(), started.clone());
        tasks.spawn(async move {
            let (row, facts) = image(n);
            started.fetch_add(1, Ordering::Relaxed);
            metadata.put_manifest(&parse("hub"), &name, &row, &facts).await
        });
    }
    while started.load(Ordering::Relaxed) < TASKS / 2 {
        tokio::task::yield_now().await;
    }
    tasks.shutdown().await;

    for n in 0..TASKS {
        let (row, _) = image(n);
        let stored = metadata.find_manifest(&row.digest).await.unwrap().is_some();
        let child = digest(&format!("config {n}"));
        assert_eq!(metadata.is_linked(&parse("hub"), &name, &row.digest).await.unwrap(), stored, "{n}");
        let listed = metadata.find_listed(&parse("hub"), &name, &child).await.unwrap();
        assert_eq!(listed.is_some(), stored, "{n}");
    }
    let (row, facts) = image(TASKS);
    metadata.put_manifest(&parse("hub"), &name, &row, &facts).await.expect("the writer is not stuck");
}
