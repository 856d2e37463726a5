//! HTTP as a client of the tests speaks it: whole answers, or as much as came before the connection was cut.
//!
//! Must not know: Transship. Invariants: proxies of the machine are not used, redirects are not followed, and a body
//! that broke off is never taken for a whole one.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, Version, redirect};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// How the body ended early; `None` when it came whole.
    pub(crate) cut: Option<String>,
}

impl Answer {
    /// The value of a header; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether everything came that was promised.
    pub(crate) fn is_whole(&self) -> bool {
        self.cut.is_none()
    }

    /// The messages of an error body, one a line.
    #[track_caller]
    pub(crate) fn error_messages(&self) -> String {
        let body = self.json();
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {body}"));
        errors.iter().map(|error| error["message"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }
}

/// A client that takes a new connection for each request: an old one may be of a process that has ended since.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).pool_max_idle_per_host(0).build().unwrap()
}

/// One exchange, body included.
pub(crate) async fn send(client: &Client, method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let method: Method = method.parse().unwrap();
    let mut request = client.request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    collect(response).await
}

/// Reads the body, as far as it comes.
pub(crate) async fn collect(mut response: Response) -> Answer {
    let (status, version, headers) = (response.status().as_u16(), response.version(), response.headers().clone());
    let mut body = Vec::new();
    let cut = loop {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break None,
            Err(error) => break Some(format!("{error:?}")),
        }
    };
    Answer { status, version, headers, body, cut }
}

/// Reads the body and compares it with `expected` while it comes. Gives how many bytes came and whether that was all;
/// panics at the first byte that differs.
pub(crate) async fn compare(mut response: Response, expected: &[u8]) -> (usize, bool) {
    let mut at = 0;
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                let end = at + piece.len();
                assert!(expected.get(at..end) == Some(&*piece), "other bytes at {at}..{end}");
                at = end;
            }
            Ok(None) => return (at, at == expected.len()),
            Err(_) => return (at, false),
        }
    }
}

/// Sends these very bytes and reads until the server closes the connection, or until `enough` says so.
pub(crate) async fn raw(host: &str, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut socket = TcpStream::connect(host).await.unwrap();
    // A server that has seen enough may close before everything is sent: what it answered can still be read.
    let sent = socket.write_all(request).await;
    let mut answer = Vec::new();
    while !enough(&answer) {
        match socket.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(sent.is_err() || !answer.is_empty(), "{error}");
                break;
            }
        }
    }
    answer
}
