//! A small HTTP/1.1 server that answers exactly what a test tells it, wrong or not, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use client::{
    Credential, CredentialStore, Exchange, ExchangeObserver, NoObserver, Reach, RegistryClient, Secret, UpstreamConfig,
};
use oci::{Digest, Reference, RepositoryName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A password that must never turn up where it does not belong.
pub(crate) const CANARY: &str = "canary-s3cr3t";
/// The `Authorization` of the user `ci` with that password.
pub(crate) const CANARY_BASIC: &str = "Basic Y2k6Y2FuYXJ5LXMzY3IzdA==";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// What was sent along.
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }
}

/// What the server does after the bytes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
    /// Holds the connection open and stays silent.
    Stall,
}

/// A reply, byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

impl Reply {
    /// With a right `Content-Length`, unless the headers hold one or a `transfer-encoding`.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let framed = headers.iter().any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding"));
        if !framed && status != 304 {
            head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        }
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        Self { bytes, then: Then::KeepOpen }
    }

    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[], body)
    }

    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::new(200, &[("content-type", "application/json")], body.to_string())
    }

    /// The body as one chunk, without a length.
    pub(crate) fn chunked(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers: Vec<_> = headers.iter().copied().chain([("transfer-encoding", "chunked")]).collect();
        let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        Self::new(status, &headers, chunk)
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::new(307, &[("location", location)], "")
    }

    pub(crate) fn challenge(challenge: &str) -> Self {
        Self::new(401, &[("www-authenticate", challenge)], "")
    }

    /// Nothing at all.
    pub(crate) fn silence(then: Then) -> Self {
        Self { bytes: Vec::new(), then }
    }

    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start<H>(handler: H) -> Self
    where
        H: Fn(&Seen) -> Reply + Send + Sync + 'static,
    {
        Self::start_knowing(|_| handler).await
    }

    /// For servers that must name their own address.
    pub(crate) async fn start_knowing<M, H>(make: M) -> Self
    where
        M: FnOnce(&str) -> H,
        H: Fn(&Seen) -> Reply + Send + Sync + 'static,
    {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), make)
    }

    /// At an address of the test's own.
    pub(crate) fn listen<M, H>(listener: TcpListener, make: M) -> Self
    where
        M: FnOnce(&str) -> H,
        H: Fn(&Seen) -> Reply + Send + Sync + 'static,
    {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handler = Arc::new(make(&url));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (handler, log) = (handler.clone(), log.clone());
                tokio::spawn(async move { serve(socket, &*handler, &log).await });
            }
        });
        Self { url: url.parse().unwrap(), seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests for a path.
    pub(crate) fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path() == path).collect()
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap(), self.url.port().unwrap())
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Nothing secret has reached this server, in whatever part of a request.
    pub(crate) fn assert_no_credential(&self) {
        self.assert_none_but(None);
    }

    /// The same, with a token that is its own.
    pub(crate) fn assert_no_credential_but(&self, token: &str) {
        self.assert_none_but(Some(token));
    }

    fn assert_none_but(&self, token: Option<&str>) {
        for seen in self.seen() {
            assert!(seen.authorization().is_none_or(|offered| Some(offered) == token), "{seen:?}");
            let all = format!("{seen:?}");
            assert!(!all.contains(CANARY) && !all.contains("Y2k6Y2FuYXJ5"), "{all}");
        }
    }
}

async fn serve(mut socket: TcpStream, handler: &(dyn Fn(&Seen) -> Reply + Send + Sync), log: &Mutex<Vec<Seen>>) {
    let mut input = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            match socket.read_buf(&mut input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let mut seen = parse(std::str::from_utf8(&input[..end]).unwrap());
        input.drain(..end + 4);
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        while input.len() < length {
            if !matches!(socket.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
        seen.body = String::from_utf8(input.drain(..length).collect()).unwrap();
        log.lock().unwrap().push(seen.clone());
        let Reply { mut bytes, then } = handler(&seen);
        if seen.method == "HEAD" {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
            bytes.truncate(head);
        }
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            Then::KeepOpen => {}
            Then::Close => return,
            Then::Stall => std::future::pending().await,
        }
    }
}

fn parse(head: &str) -> Seen {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.to_lowercase(), v.to_owned()));
    let (method, target) = (words.next().unwrap().into(), words.next().unwrap().into());
    Seen { method, target, body: String::new(), headers: headers.collect() }
}

/// Remembers every exchange.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Vec<Exchange>>);

impl ExchangeObserver for Watch {
    fn exchange(&self, exchange: &Exchange) {
        self.0.lock().unwrap().push(exchange.clone());
    }
}

impl Watch {
    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().clone()
    }
}

/// An internal upstream without a credential.
pub(crate) fn config(server: &Server) -> UpstreamConfig {
    UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(server.url.clone()) }
}

pub(crate) fn basic_credential() -> Credential {
    Credential::Basic { username: "ci".into(), password: Secret::new(CANARY) }
}

pub(crate) fn client(config: UpstreamConfig) -> RegistryClient {
    RegistryClient::new(config, Arc::new(NoObserver)).unwrap()
}

pub(crate) fn anonymous(server: &Server) -> RegistryClient {
    client(config(server))
}

pub(crate) fn with_credential(server: &Server) -> RegistryClient {
    client(with_basic(config(server)))
}

/// The same upstream with the user `ci`.
pub(crate) fn with_basic(config: UpstreamConfig) -> UpstreamConfig {
    UpstreamConfig { credentials: CredentialStore::fixed(basic_credential()), ..config }
}

pub(crate) fn name() -> RepositoryName {
    "library/alpine".parse().unwrap()
}

pub(crate) fn tag() -> Reference {
    "latest".parse().unwrap()
}

pub(crate) fn digest() -> Digest {
    Digest::sha256_of(b"blob")
}

pub(crate) fn blob_path() -> String {
    format!("/v2/library/alpine/blobs/{}", digest())
}

/// A blob read to its end.
pub(crate) async fn read(mut body: client::BlobBody) -> Result<Vec<u8>, client::ClientError> {
    use futures_util::StreamExt;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// A manifest's body and the path of its tag.
pub(crate) const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_PATH: &str = "/v2/library/alpine/manifests/latest";

pub(crate) fn manifest_reply() -> Reply {
    Reply::new(200, &[("content-type", MANIFEST_TYPE)], MANIFEST)
}
