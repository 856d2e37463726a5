//! Several accounts of one upstream and what each has left: the one with most is asked with, one that is spent rests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use client::{Climate, Credential, CredentialEntry, CredentialSource, CredentialStore, Secret, UpstreamConfig};

use crate::support::*;

/// What each account has left; `None` says nothing, as registries do for accounts without a limit.
type Left = Arc<Mutex<HashMap<&'static str, Option<u64>>>>;

const ACCOUNTS: [(&str, &str); 3] = [("a", "Basic YTp4"), ("b", "Basic Yjp4"), ("c", "Basic Yzp4")];

/// A registry that counts GETs of manifests as Docker Hub does: HEAD is free, and what is spent is a 429.
async fn counting(left: &Left) -> Server {
    let left = left.clone();
    Server::start(move |seen| {
        let account = ACCOUNTS.iter().find(|(_, header)| Some(*header) == seen.authorization());
        let Some((account, _)) = account else { return Reply::challenge("Basic realm=\"counting\"") };
        let mut left = left.lock().unwrap();
        let Some(Some(left)) = left.get_mut(account) else { return manifest_reply() };
        let status = if seen.method == "GET" && *left == 0 { 429 } else { 200 };
        *left = left.saturating_sub(u64::from(seen.method == "GET"));
        let remaining = format!("{left};w=21600");
        let told = [
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", remaining.as_str()),
            ("content-type", MANIFEST_TYPE),
        ];
        Reply::new(status, &told, MANIFEST)
    })
    .await
}

fn client_with(server: &Server, accounts: &[&str]) -> client::RegistryClient {
    client_in(&Climate::default(), server, accounts)
}

/// One of several clients that know of each other's limits.
fn client_in(climate: &Climate, server: &Server, accounts: &[&str]) -> client::RegistryClient {
    let entry = |name: &&str| {
        let credential = Credential::Basic { username: (*name).to_owned(), password: Secret::new("x") };
        let source = CredentialSource::Fixed(credential);
        CredentialEntry { name: (*name).into(), repositories: None, source }
    };
    let credentials = CredentialStore::new(accounts.iter().map(entry).collect());
    client(UpstreamConfig { credentials, climate: climate.clone(), ..config(server) })
}

fn with_left(left: &[(&'static str, Option<u64>)]) -> Left {
    Arc::new(Mutex::new(left.iter().copied().collect()))
}

/// How many GETs of manifests each account was answered.
fn pulls(server: &Server) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for seen in server.seen().iter().filter(|seen| seen.method == "GET") {
        if let Some((account, _)) = ACCOUNTS.iter().find(|(_, header)| Some(*header) == seen.authorization()) {
            *counts.entry(*account).or_default() += 1;
        }
    }
    counts
}

async fn pull(client: &client::RegistryClient) {
    client.get_manifest(&name(), &tag(), None).await.unwrap();
}

#[tokio::test]
async fn the_account_with_most_left_is_asked_with_until_they_are_level() {
    let left = with_left(&[("a", Some(20)), ("b", Some(60))]);
    let server = counting(&left).await;
    let client = client_with(&server, &["a", "b"]);
    for _ in 0..32 {
        pull(&client).await;
    }
    let seen = pulls(&server);
    assert_eq!(seen[&"a"], 1, "once, to find out what it has: {seen:?}");
    for _ in 0..28 {
        pull(&client).await;
    }
    let left = left.lock().unwrap().clone();
    assert!(left[&"a"].unwrap().abs_diff(left[&"b"].unwrap()) <= 1, "level, and then in turn: {left:?}");
}

#[tokio::test]
async fn all_that_is_left_can_be_used_by_pulls_side_by_side() {
    let left = with_left(&[("a", Some(12)), ("b", Some(31))]);
    let server = counting(&left).await;
    let client = client_with(&server, &["a", "b"]);
    pull(&client).await;
    pull(&client).await;
    // All are chosen before the first answer is there.
    futures_util::future::join_all((0..41).map(|_| pull(&client))).await;
    assert_eq!(left.lock().unwrap().values().flatten().sum::<u64>(), 0);
}

#[tokio::test]
async fn one_that_is_spent_rests_and_one_without_a_limit_goes_first() {
    let left = with_left(&[("a", Some(1)), ("b", Some(50)), ("c", None)]);
    let server = counting(&left).await;
    let climate = Climate::default();
    let client = client_in(&climate, &server, &["a", "b"]);
    for _ in 0..10 {
        pull(&client).await;
    }
    assert_eq!(pulls(&server)[&"a"], 1, "it has nothing left");
    let client = client_in(&climate, &server, &["a", "b", "c"]);
    for _ in 0..12 {
        pull(&client).await;
    }
    // Nothing is told of `c`; the other two are told apart by what their host said to another client.
    let seen = pulls(&server);
    assert_eq!(seen[&"c"], 12, "{seen:?}");
}

#[tokio::test]
async fn where_nothing_is_told_they_take_turns() {
    let server = counting(&with_left(&[("a", None), ("b", None), ("c", None)])).await;
    let client = client_with(&server, &["a", "b", "c"]);
    for _ in 0..30 {
        pull(&client).await;
    }
    assert!(pulls(&server).values().all(|count| *count == 10), "{:?}", pulls(&server));
}

#[tokio::test]
async fn the_weather_of_a_name_is_that_of_the_account_that_would_be_asked_with() {
    let left = with_left(&[("a", Some(3)), ("b", Some(80))]);
    let server = counting(&left).await;
    let client = client_with(&server, &["a", "b"]);
    pull(&client).await;
    pull(&client).await;
    let limit = client.weather_for(&name()).rate_limit.unwrap();
    assert_eq!((limit.account.as_str(), limit.remaining, limit.is_low), ("b", 79, false));
    left.lock().unwrap().insert("b", Some(1));
    pull(&client).await;
    let limit = client.weather_for(&name()).rate_limit.unwrap();
    assert_eq!((limit.account.as_str(), limit.remaining, limit.is_reserved), ("a", 2, true));
}
