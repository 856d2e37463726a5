//! The handle a test holds: start, fill, script, read the log, stop, restart.
//!
//! Must not know: the code under test. Each upstream has a thread and runtime of its own, so it answers tests that
//! block and tests that pause tokio's clock alike. Invariant: dropped or stopped, it leaves no listener behind.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use oci::Digest;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::fault::Fault;
use super::listener;
use super::request_log::Request;
use super::state::{Absence, State};
use super::target::{Rule, Target};
use super::tls::Certificate;
use crate::port;

/// Longest wait of `wait_until`: generous, for it is reached only by a failing test.
const PATIENCE: Duration = Duration::from_mins(1);
/// Small, so that "bytes sent" runs ahead of what the client read by little.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// A scriptable registry on a loopback port.
#[derive(Debug)]
pub struct FakeUpstream {
    pub(super) state: Arc<State>,
    certificate: Option<Certificate>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    /// Never sends: it is disconnected when the accept loop has ended.
    stopped: mpsc::Receiver<Infallible>,
}

impl FakeUpstream {
    /// An empty registry over plain HTTP.
    pub fn start() -> Self {
        Self::start_with(State::default(), None)
    }

    /// An empty registry over TLS with a certificate of its own authority, see `ca_pem`.
    pub fn start_tls() -> Self {
        Self::start_with(State::default(), Some(Certificate::for_loopback()))
    }

    /// Another host (another port) that shares contents and tokens with `origin` and nothing else: as a CDN for
    /// `Location::Cdn`, or as a token server for `BearerRules::realm`.
    pub fn start_beside(origin: &Self) -> Self {
        Self::start_with(State::beside(&origin.state), None)
    }

    /// An empty registry over plain HTTP at this address.
    pub fn start_at(address: SocketAddr) -> std::io::Result<Self> {
        // Looked at first, so that a port in use is an error for people and not a panic.
        drop(std::net::TcpListener::bind(address)?);
        Ok(Self::start_on(State::default(), None, address))
    }

    fn start_with(state: State, certificate: Option<Certificate>) -> Self {
        Self::start_on(state, certificate, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    fn start_on(state: State, certificate: Option<Certificate>, address: SocketAddr) -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be started");
        let mut upstream = Self { state: Arc::new(state), certificate, address, runtime: Some(runtime), running: None };
        upstream.restart();
        upstream.state.set_url(upstream.url());
        upstream
    }

    /// `http://127.0.0.1:<port>` (or `https`), without a trailing slash.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The port, the same after every restart.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The authority that signed the certificate, as PEM; only of a TLS upstream.
    pub fn ca_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.authority_pem.as_str())
    }

    /// Stops listening and cuts all connections; new ones are refused. Contents, rules and log stay.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            running.stopped.recv().expect_err("nothing is ever sent");
        }
    }

    /// Listens again, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let runtime = self.runtime.as_ref().expect("the runtime lives as long as the handle");
        let _inside = runtime.enter();
        let listener = self.listen();
        self.address = listener.local_addr().expect("a listener has an address");
        let (stop, (ended, stopped)) = (CancellationToken::new(), mpsc::channel());
        let tls = self.certificate.as_ref().map(|certificate| TlsAcceptor::from(Arc::clone(&certificate.server)));
        let serving = listener::run(listener, tls, Arc::clone(&self.state), stop.clone());
        runtime.spawn(async move {
            serving.await;
            drop(ended);
        });
        self.running = Some(Running { stop, stopped });
    }

    /// Listens on its port, or, the first time, on one that stays free while the upstream is stopped.
    fn listen(&self) -> TcpListener {
        let bind = |port| {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.bind(SocketAddr::new(self.address.ip(), port))?;
            socket.listen(1024)
        };
        match self.address.port() {
            0 => std::iter::repeat_with(port::candidate).take(1000).find_map(|port| bind(port).ok()),
            port => bind(port).ok(),
        }
        .expect("the loopback port is free")
    }

    /// Decides who may read from now on.
    pub fn set_access(&self, access: Access) {
        self.state.set_access(access);
    }

    /// Decides what is said of content that is not there.
    pub fn set_absence(&self, absence: Absence) {
        self.state.set_absence(absence);
    }

    /// Makes every token issued so far worthless.
    pub fn expire_tokens(&self) {
        self.state.tokens.expire_all();
    }

    /// Adds a fault. Faults whose targets match the same request add up.
    pub fn fault(&self, target: Target, fault: Fault) {
        self.state.add_rule(Rule::new(target, fault));
    }

    /// Behaves from now on; answers under way go on as scripted.
    pub fn clear_faults(&self) {
        self.state.clear_rules();
    }

    /// Everything asked so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state.log.requests()
    }

    /// Forgets the log.
    pub fn clear_log(&self) {
        self.state.log.clear();
    }

    /// Body bytes sent in all answers whose path ends with this digest.
    pub fn bytes_sent_for(&self, digest: &Digest) -> u64 {
        self.state.log.bytes_sent_for(digest)
    }

    /// How many GETs asked for this digest, refused ones included.
    pub fn gets_for(&self, digest: &Digest) -> usize {
        self.state.log.count_for("GET", digest)
    }

    /// How many HEADs asked for this digest, refused ones included.
    pub fn heads_for(&self, digest: &Digest) -> usize {
        self.state.log.count_for("HEAD", digest)
    }

    /// Every `Authorization` value that arrived here, in order.
    pub fn credentials_seen(&self) -> Vec<String> {
        self.requests().iter().filter_map(|request| request.authorization().map(str::to_owned)).collect()
    }

    /// Waits until the log satisfies `done`. Not for tests that pause tokio's clock.
    pub async fn wait_until(&self, done: impl Fn(&[Request]) -> bool) {
        self.state.log.wait_until(PATIENCE, done).await;
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
        if let Some(runtime) = self.runtime.take() {
            // A test may drop the handle inside its own runtime, where waiting for threads is not allowed.
            runtime.shutdown_background();
        }
    }
}
