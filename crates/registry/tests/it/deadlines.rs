//! Every question has its answer within 20 s, whatever upstream does (container clients give up at 30).
//!
//! No test waits that long: once the upstream is seen to hold, tokio's clock is paused, and then it runs to the next
//! deadline whenever nothing else is to be done. What is asserted is how far it ran.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::time::Duration;

use oci::{Digest, RangeHeader};
use serde_json::{Value, json};
use testkit::image::{Image, blob};
use testkit::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Gate, Kind, Location, Request, Target};
use tokio::time::Instant;
use transship_registry::{PullError, TagsQuery};

use crate::harness::Lab;

/// What clients are promised, and a little for the clock's own steps.
const PROMISED: Duration = Duration::from_millis(20_100);

type Question<'a> = Pin<Box<dyn Future<Output = Result<(), PullError>> + 'a>>;

/// One question of each kind about what nobody has asked for before.
fn questions(lab: &Lab, number: u8) -> Vec<(&'static str, Question<'_>)> {
    let digest = Digest::sha256_of(&[number]);
    let tags = TagsQuery { n: None, last: None };
    let range = RangeHeader::parse("bytes=0-9").unwrap().unwrap();
    vec![
        ("tag", Box::pin(async move { lab.manifest(&format!("t{number}")).await.map(drop) })),
        ("digest", Box::pin(async move { lab.manifest(&digest.to_string()).await.map(drop) })),
        ("blob", Box::pin(async move { lab.registry.open_blob(&lab.route(), &digest, None).await.map(drop) })),
        ("range", Box::pin(async move { lab.registry.open_blob(&lab.route(), &digest, Some(&range)).await.map(drop) })),
        ("size", Box::pin(async move { lab.registry.stat_blob(&lab.route(), &digest).await.map(drop) })),
        ("tags", Box::pin(async move { lab.registry.list_tags(&lab.route(), &tags).await.map(drop) })),
        ("referrers", Box::pin(async move { lab.registry.referrers(&lab.route(), &digest).await.map(drop) })),
    ]
}

/// Nothing cached may stand in: looking for it would take time of the clock that only seems to pass. And nobody but the
/// question asks upstream.
fn alone() -> Value {
    json!({ "stale_if_error": "0s", "health_check": "off" })
}

/// Asks everything, each question in a laboratory of its own, so that no breaker answers. `is_held` waits in real time until
/// upstream has the question in its hands; only then is the clock let run.
async fn all_end_in_time<Held: AsyncFn(&Lab)>(set_up: impl AsyncFn() -> (Lab, Held)) {
    for number in 0..7 {
        let (lab, is_held) = set_up().await;
        let (kind, mut question) = questions(&lab, number).swap_remove(usize::from(number));
        tokio::select! {
            early = &mut question => panic!("{kind} was answered before upstream could hold it: {early:?}"),
            () = is_held(&lab) => {}
        }
        tokio::time::pause();
        let began = Instant::now();
        let answer = question.await;
        let took = began.elapsed();
        tokio::time::resume();
        assert!(took <= PROMISED, "{kind} took {took:?}");
        let error = answer.expect_err("nothing can be had");
        let outage = matches!(
            error,
            PullError::UpstreamTimeout { .. }
                | PullError::UpstreamUnreachable { .. }
                | PullError::UpstreamFailed { .. }
                | PullError::UpstreamResting { .. }
                | PullError::RateLimited { .. }
        );
        assert!(outage, "{kind}: an outage is not a missing image: {error:?}");
    }
}

/// Waits until an upstream was asked anything.
async fn is_asked(upstream: &FakeUpstream) {
    upstream.wait_until(|log| !log.is_empty()).await;
}

#[tokio::test]
async fn where_an_upstream_says_nothing() {
    all_end_in_time(async || {
        let lab = Lab::with(alone(), 1 << 30).await;
        lab.upstream.fault(Target::any(), Fault::Hold(Gate::new()));
        (lab, async |lab: &Lab| is_asked(&lab.upstream).await)
    })
    .await;
}

#[tokio::test]
async fn where_all_of_several_upstreams_say_nothing() {
    for mirrors in [1, 3, 7] {
        all_end_in_time(async || {
            let (lab, others) = Lab::mirrored(alone(), mirrors).await;
            for upstream in others.iter().chain([&lab.upstream]) {
                upstream.fault(Target::any(), Fault::Hold(Gate::new()));
            }
            let held = async move |lab: &Lab| {
                assert_eq!(others.len(), mirrors);
                is_asked(&lab.upstream).await;
            };
            (lab, held)
        })
        .await;
    }
}

#[tokio::test]
async fn where_a_token_server_says_nothing() {
    all_end_in_time(async || {
        let lab =
            Lab::with(json!({ "auth": { "username": "ci", "password": "p" }, "stale_if_error": "0s" }), 1 << 30).await;
        let account = Some(Account::new("ci", "p"));
        lab.upstream.set_access(Access::Bearer(BearerRules { account, ..BearerRules::default() }));
        lab.upstream.fault(Target::kind(Kind::Token), Fault::Hold(Gate::new()));
        let asked = |log: &[Request]| log.iter().any(|request| request.kind() == Kind::Token);
        (lab, async move |lab: &Lab| lab.upstream.wait_until(asked).await)
    })
    .await;
}

#[tokio::test]
async fn where_the_host_of_a_redirect_says_nothing() {
    all_end_in_time(async || {
        let lab = Lab::with(alone(), 1 << 30).await;
        let cdn = FakeUpstream::start();
        cdn.fault(Target::any(), Fault::Hold(Gate::new()));
        lab.upstream.fault(Target::any(), Fault::Redirect(307, Location::Fixed(format!("{}/x", cdn.url()))));
        (lab, async move |_: &Lab| is_asked(&cdn).await)
    })
    .await;
}

#[tokio::test]
async fn where_upstream_wants_to_be_asked_again_and_again() {
    all_end_in_time(async || {
        let lab = Lab::with(alone(), 1 << 30).await;
        lab.upstream.fault(Target::any(), Fault::too_many_requests(Some("3")));
        (lab, async |lab: &Lab| is_asked(&lab.upstream).await)
    })
    .await;
}

#[tokio::test]
async fn where_a_body_never_comes() {
    let lab = Lab::with(alone(), 1 << 30).await;
    let image = Image::small(1, 3_000_000);
    lab.upstream.add_image("team/app", "t0", &image);
    lab.upstream.fault(Target::any(), Fault::StallAfter(1, Gate::new()));
    let began = {
        let pull = lab.manifest("t0");
        tokio::pin!(pull);
        tokio::select! {
            early = &mut pull => panic!("{early:?}"),
            () = lab.upstream.wait_until(|log| log.iter().any(|request| request.bytes_sent > 0)) => {}
        }
        tokio::time::pause();
        let began = Instant::now();
        pull.await.expect_err("its body never came");
        began
    };
    assert!(began.elapsed() <= PROMISED, "{:?}", began.elapsed());
    tokio::time::resume();
    // A large blob has its headers long before its bytes; a small one is awaited, but not for ever.
    let small = lab.upstream.add_blob("team/app", blob(2, 1000));
    for digest in [image.blobs[1].digest, small] {
        let route = lab.route();
        let open = lab.registry.open_blob(&route, &digest, None);
        tokio::pin!(open);
        tokio::select! {
            _ = &mut open => continue,
            () = lab.upstream.wait_until(|log| log.iter().any(|request| {
                request.path.ends_with(&digest.to_string()) && request.bytes_sent > 0
            })) => {}
        }
        tokio::time::pause();
        let began = Instant::now();
        drop(open.await.map(|open| open.size()));
        assert!(began.elapsed() <= PROMISED, "{:?} at {:?}", began.elapsed(), route.repo.key());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn where_no_name_server_answers() {
    for address in [
        json!({ "upstream": "http://r.example:5000", "stale_if_error": "0s" }),
        json!({ "upstream": "srv+http://_registry._tcp.r.example", "stale_if_error": "0s" }),
        json!({
            "upstreams": ["https://r.example", "https://s.example", "https://t.example"],
            "stale_if_error": "0s", "health_check": "off",
        }),
    ] {
        all_end_in_time(async || {
            let silent = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let lab = Lab::elsewhere(&address, silent.local_addr().ok()).await;
            (lab, async move |_: &Lab| assert!(silent.recv(&mut [0; 512]).await.is_ok()))
        })
        .await;
    }
}

#[tokio::test]
async fn where_a_connection_or_handshake_is_never_answered() {
    for scheme in ["http", "https"] {
        all_end_in_time(async || {
            let deaf = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let url = format!("{scheme}://{}", deaf.local_addr().unwrap());
            let lab = Lab::elsewhere(&json!({ "upstream": url, "stale_if_error": "0s" }), None).await;
            let kept = std::sync::Mutex::new(Vec::new());
            let held = async move |_: &Lab| {
                let (socket, _) = deaf.accept().await.unwrap();
                kept.lock().unwrap().push(socket);
            };
            (lab, held)
        })
        .await;
    }
}
