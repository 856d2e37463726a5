//! Retries: only what may help, never more than allowed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{ClientError, TimeoutPhase, Timeouts, UpstreamConfig};

use crate::support::*;

/// A server that gives the replies in turn, the last one forever.
async fn in_turn(replies: Vec<Reply>) -> Server {
    let next = AtomicUsize::new(0);
    Server::start(move |_| {
        let at = next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1);
        replies[at].clone()
    })
    .await
}

async fn pull(server: &Server) -> Result<(), ClientError> {
    anonymous(server).get_manifest(&name(), &tag(), None).await.map(drop)
}

#[tokio::test]
async fn temporary_failures_are_tried_again() {
    for failure in [
        Reply::new(503, &[], ""),
        Reply::new(502, &[], ""),
        Reply::new(500, &[], ""),
        Reply::new(429, &[("retry-after", "0")], ""),
        Reply::silence(Then::Close),
    ] {
        let server = in_turn(vec![failure.clone(), manifest_reply()]).await;
        pull(&server).await.unwrap_or_else(|error| panic!("{failure:?}: {error:?}"));
        assert_eq!(server.seen().len(), 2, "{failure:?}");
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let server = in_turn(vec![Reply::new(503, &[("retry-after", "0")], "")]).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.upstream_status(), Some(503));
    assert_eq!(server.seen().len(), 3);
    let client = client(UpstreamConfig { max_attempts: 1, ..config(&server) });
    client.get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn final_answers_are_taken_at_once() {
    for status in [400, 403, 404, 405, 410, 416, 501] {
        let server = in_turn(vec![Reply::new(status, &[], "")]).await;
        assert_eq!(pull(&server).await.unwrap_err().upstream_status(), Some(status));
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_long_wait_is_reported_instead_of_waited() {
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_mins(10));
    for (wish, seconds) in [("120", 120..=120), ("99999999", 3600..=3600), (soon.as_str(), 590..=600)] {
        let server = in_turn(vec![Reply::new(429, &[("retry-after", wish)], "")]).await;
        match pull(&server).await.unwrap_err() {
            ClientError::RateLimited { retry_after: Some(wait), .. } => {
                assert!(seconds.contains(&wait.as_secs()), "{wait:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.seen().len(), 1);
    }
    let bare = in_turn(vec![Reply::new(429, &[], "")]).await;
    let error = pull(&bare).await.unwrap_err();
    assert!(matches!(error, ClientError::RateLimited { retry_after: None, .. }), "{error:?}");
    assert_eq!(bare.seen().len(), 1, "a bare 429 is an abuse limit");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(|_| manifest_reply()).await;
    let mut config = config(&server);
    config.url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    drop(listener);
    let error = client(config).get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.is_temporary());
    assert!(error.to_string().contains("refused"), "says why: {error}");
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    let server = in_turn(vec![Reply::silence(Then::Stall)]).await;
    let timeouts = Timeouts { first_byte: Duration::from_millis(60), ..Timeouts::default() };
    let client = client(UpstreamConfig { timeouts, ..config(&server) });
    let error = client.get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::FirstByte, .. }), "{error:?}");
    assert!(server.seen().len() <= 3);
}

#[tokio::test]
async fn a_blob_is_tried_again_only_before_its_body() {
    let server =
        in_turn(vec![Reply::new(503, &[], ""), Reply::new(200, &[("content-length", "9")], "blob").then(Then::Close)])
            .await;
    let blob = anonymous(&server).get_blob(&name(), &digest(), None).await.unwrap();
    let error = read(blob.body).await.unwrap_err();
    assert!(matches!(error, ClientError::Interrupted { received: 4, .. }), "{error:?}");
    assert_eq!(server.seen().len(), 2);
}
