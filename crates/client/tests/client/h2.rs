//! HTTP/2 upstreams that misbehave frame by frame: asked again or given up, and never listened to without end.

use std::time::Duration;

use client::{
    Authorities, ClientError, Credential, CredentialStore, Network, Reach, Secret, TimeoutPhase, Timeouts,
    UpstreamConfig,
};
use testkit::h2::{Code, Exchange, H2Upstream, Kind, Manner, Setting};

use crate::support::*;

const MIB: u64 = 1 << 20;
/// What a flood may bring on its way before its connection is cut: the buffers of both sockets, generously.
const MOST_OF_A_FLOOD: u64 = 32 * MIB;
/// A flood that nobody cuts ends by itself there, and fails its test.
const ENDLESS: u64 = 256 * MIB;

fn at(server: &H2Upstream) -> UpstreamConfig {
    let authorities = Authorities::from_pem(server.ca_pem().as_bytes()).unwrap();
    let network = Network { authorities, ..Network::default() };
    let url = server.url().parse().unwrap();
    UpstreamConfig { reach: Reach::Internal, network, ..UpstreamConfig::new(url) }
}

async fn pull(config: UpstreamConfig) -> Result<(), ClientError> {
    client(config).get_manifest(&name(), &tag(), None).await.map(drop)
}

fn manifest(exchange: &mut Exchange<'_>) -> std::io::Result<()> {
    exchange.answer(200, &[("content-type", MANIFEST_TYPE)], MANIFEST.as_bytes())
}

/// Writes `count` frames at a time until the client has had enough.
fn flood(exchange: &mut Exchange<'_>, kind: Kind, stream: u32, payload: &[u8]) -> std::io::Result<()> {
    let each = 9 + payload.len() as u64;
    for _ in 0..ENDLESS / (each * 1000) {
        exchange.frames(kind, stream, payload, 1000)?;
    }
    exchange.fall_silent(Manner::Alive)
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let server = H2Upstream::start(manifest);
    let client = client(at(&server));
    for _ in 0..20 {
        client.get_manifest(&name(), &tag(), None).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests()), (1, 20));
}

#[tokio::test]
async fn what_was_refused_or_never_worked_on_is_asked_again() {
    type Refusal = fn(&mut Exchange<'_>) -> std::io::Result<()>;
    let refusals: [(&str, Refusal); 6] = [
        ("refused stream", |exchange| exchange.reset(Code::RefusedStream)),
        ("cancelled", |exchange| exchange.reset(Code::Cancel)),
        ("internal error", |exchange| exchange.reset(Code::InternalError)),
        ("goaway before it", |exchange| {
            exchange.go_away(0, Code::NoError)?;
            exchange.hang_up()
        }),
        ("enhance your calm", |exchange| {
            exchange.go_away(exchange.stream, Code::EnhanceYourCalm)?;
            exchange.hang_up()
        }),
        ("hang-up", |exchange| exchange.hang_up()),
    ];
    for (case, refusal) in refusals {
        let server = H2Upstream::start(
            move |exchange| if exchange.number == 1 { refusal(exchange) } else { manifest(exchange) },
        );
        pull(at(&server)).await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
        assert_eq!(server.requests(), 2, "{case}");
        let always = H2Upstream::start(refusal);
        let error = pull(at(&always)).await.unwrap_err();
        assert!(error.is_temporary(), "{case}: {error:?}");
        assert!(always.requests() <= 3, "{case}: attempts are bounded");
    }
}

#[tokio::test]
async fn a_flood_of_resets_is_cut_or_endured() {
    // Of streams that never were, and of the request's own, before and after its answer.
    let idle = H2Upstream::start(|exchange| flood(exchange, Kind::ResetStream, exchange.stream + 100, &[0, 0, 0, 8]));
    let error = pull(at(&idle)).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    assert!(idle.sent() < 3 * MOST_OF_A_FLOOD, "{} bytes", idle.sent());
    let own = H2Upstream::start(|exchange| {
        for _ in 0..1000 {
            exchange.reset(Code::Cancel)?;
        }
        Ok(())
    });
    let error = pull(at(&own)).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    let after = H2Upstream::start(|exchange| {
        manifest(exchange)?;
        exchange.frames(Kind::ResetStream, exchange.stream, &[0, 0, 0, 8], 100_000)
    });
    let client = client(at(&after));
    for _ in 0..3 {
        client.get_manifest(&name(), &tag(), None).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
}

#[tokio::test]
async fn a_header_block_without_end_is_cut() {
    let long = H2Upstream::start(|exchange| {
        exchange.begin_head(200)?;
        // Each a header of its own: a name of one letter and 1000 letters of value.
        let header = [&[0, 1, b'x', 127, 0xe9, 6][..], &[b'v'; 1000]].concat();
        flood(exchange, Kind::Continuation, exchange.stream, &header)
    });
    let empty = H2Upstream::start(|exchange| {
        exchange.begin_head(200)?;
        flood(exchange, Kind::Continuation, exchange.stream, &[])
    });
    for server in [long, empty] {
        let error = pull(at(&server)).await.unwrap_err();
        assert!(matches!(error, ClientError::Interrupted { .. }), "{error:?}");
        assert!(server.sent() < 3 * MOST_OF_A_FLOOD, "{} bytes", server.sent());
    }
}

#[tokio::test]
async fn headers_beyond_a_measure_are_refused() {
    let large = "v".repeat(12 * 1024);
    let server = H2Upstream::start(move |exchange| {
        exchange.begin_head(200)?;
        for _ in 0..4 {
            let header = [&[0, 1, b'x', 127, 0x81, 0x5f][..], large.as_bytes()].concat();
            exchange.frame(Kind::Continuation, 0, exchange.stream, &header)?;
        }
        exchange.frame(Kind::Continuation, 4, exchange.stream, &[])?;
        exchange.fall_silent(Manner::Alive)
    });
    let error = pull(at(&server)).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn pieces_without_bytes_are_no_progress() {
    let flooding = H2Upstream::start(|exchange| {
        exchange.head(200, &[("content-length", "10")])?;
        exchange.data(b"0123")?;
        flood(exchange, Kind::Data, exchange.stream, &[])
    });
    let blob = client(at(&flooding)).get_blob(&name(), &digest(), None).await.unwrap();
    let error = read(blob.body).await.unwrap_err();
    assert!(error.is_temporary(), "the caller goes on where it was: {error:?}");
    assert!(flooding.sent() < MOST_OF_A_FLOOD, "{} bytes", flooding.sent());

    let trickling = H2Upstream::start(|exchange| {
        exchange.head(200, &[("content-length", "10")])?;
        exchange.data(b"0123")?;
        loop {
            exchange.data(b"")?;
            exchange.frame(Kind::Data, 0, exchange.stream, &[])?;
            std::thread::sleep(Duration::from_millis(40));
        }
    });
    let timeouts = Timeouts { idle: Duration::from_millis(400), ..Timeouts::default() };
    let blob = client(UpstreamConfig { timeouts, ..at(&trickling) }).get_blob(&name(), &digest(), None).await.unwrap();
    let error = tokio::time::timeout(Duration::from_mins(1), read(blob.body)).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::Idle, .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_is_broken_off_is_told_with_what_came() {
    type Break = fn(&mut Exchange<'_>) -> std::io::Result<()>;
    let breaks: [(&str, Break); 3] = [
        ("goaway", |exchange| {
            exchange.go_away(exchange.stream, Code::NoError)?;
            exchange.hang_up()
        }),
        ("reset", |exchange| exchange.reset(Code::InternalError)),
        ("end of stream too early", |exchange| exchange.frame(Kind::Data, 1, exchange.stream, &[])),
    ];
    for (case, break_off) in breaks {
        let server = H2Upstream::start(move |exchange| {
            if exchange.number > 1 {
                return exchange.answer(206, &[("content-range", "bytes 4-9/10")], b"456789");
            }
            exchange.head(200, &[("content-length", "10")])?;
            exchange.data(b"0123")?;
            break_off(exchange)
        });
        let client = client(at(&server));
        let error = read(client.get_blob(&name(), &digest(), None).await.unwrap().body).await.unwrap_err();
        assert!(matches!(error, ClientError::Interrupted { .. }), "{case}: {error:?}");
        let rest = client.get_blob(&name(), &digest(), oci::ByteRange::new(4, 10)).await.unwrap();
        assert_eq!(read(rest.body).await.unwrap(), b"456789", "{case}");
    }
}

#[tokio::test]
async fn a_goaway_lets_the_body_under_way_end() {
    let server = H2Upstream::start(|exchange| {
        exchange.head(200, &[("content-length", "10")])?;
        exchange.data(b"0123")?;
        exchange.go_away(exchange.stream, Code::NoError)?;
        exchange.data(b"456789")?;
        exchange.frame(Kind::Data, 1, exchange.stream, &[])
    });
    let blob = client(at(&server)).get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(read(blob.body).await.unwrap(), b"0123456789");
}

#[tokio::test]
async fn a_body_that_stalls_times_out_although_somebody_is_there() {
    let server = H2Upstream::start(|exchange| {
        exchange.head(200, &[("content-length", "10")])?;
        exchange.data(b"0123")?;
        exchange.fall_silent(Manner::Alive)
    });
    let timeouts = Timeouts { idle: Duration::from_millis(200), ..Timeouts::default() };
    let blob = client(UpstreamConfig { timeouts, ..at(&server) }).get_blob(&name(), &digest(), None).await.unwrap();
    let error = read(blob.body).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::Idle, .. }), "{error:?}");
}

#[tokio::test]
async fn a_window_that_never_opens_times_out() {
    let server = H2Upstream::start_with(&[(Setting::InitialWindowSize, 0)], |exchange| match exchange.number {
        1 => {
            let challenge = format!("Bearer realm=\"{}/token\"", exchange.url);
            exchange.answer(401, &[("www-authenticate", &challenge)], b"")
        }
        _ => exchange.fall_silent(Manner::Alive),
    });
    let credentials = CredentialStore::fixed(Credential::IdentityToken(Secret::new(CANARY)));
    let timeouts = Timeouts { first_byte: Duration::from_millis(600), ..Timeouts::default() };
    let config = UpstreamConfig { credentials, timeouts, ..at(&server) };
    let error = pull(config).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_died_in_silence_is_left_for_a_new_one() {
    let server = H2Upstream::start(|exchange| match exchange.number {
        2 => exchange.fall_silent(Manner::Dead),
        _ => manifest(exchange),
    });
    let timeouts = Timeouts { first_byte: Duration::from_secs(3), ..Timeouts::default() };
    let client = client(UpstreamConfig { timeouts, ..at(&server) });
    client.get_manifest(&name(), &tag(), None).await.unwrap();
    client.get_manifest(&name(), &tag(), None).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((server.connections(), server.requests()), (2, 3));
}
