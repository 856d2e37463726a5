//! The sockets we listen on: added and removed while running, drained at the end.
//!
//! Must not know what is served. Invariants: an accept error never ends a listener; an accepted connection either
//! holds a place under the connection cap or is closed; after `drain` or `cut` nothing is accepted.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::serve::{ConnectionInfo, ConnectionRunner, ServeLimits};
use crate::tls::Tls;

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server has stopped accepting for good.
    #[error("cannot listen on {0}: shutting down")]
    ShuttingDown(SocketAddr),
}

/// Who wants a listener, and so who may take it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenFor {
    /// The process, for its whole life.
    Process,
    /// A repository with a `listen` address; [`Listeners::reconcile`] removes it with the repository.
    Repository,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every response under way was finished.
    Clean,
    /// This many connections were cut: the deadline had passed, or a second stop came.
    Cut(usize),
}

/// Makes the service of one connection.
pub trait MakeService: Clone + Send + Sync + 'static {
    /// The response body.
    type Body: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;
    /// The service.
    type Service: Service<
            Request<Incoming>,
            Response = Response<Self::Body>,
            Error = Infallible,
            Future: Future<Output = Result<Response<Self::Body>, Infallible>> + Send + 'static,
        > + Send
        + 'static;

    /// Makes the service for a connection.
    fn make(&self, connection: ConnectionInfo) -> Self::Service;
}

/// Every listener and connection of the process. Cheap to clone.
#[derive(Clone)]
pub struct Listeners<M> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    make: M,
    runner: ConnectionRunner,
    places: Arc<Semaphore>,
    max_connections: usize,
    open_connections: Gauge,
    cut: CancellationToken,
    /// Connections that ended by the cut.
    cut_connections: AtomicUsize,
    /// `None` once draining began.
    open: Mutex<Option<HashMap<SocketAddr, Open>>>,
}

struct Open {
    purpose: ListenFor,
    stop: CancellationToken,
    task: JoinHandle<GracefulShutdown>,
}

impl<M: MakeService> Listeners<M> {
    /// Prepares to serve; nothing listens yet. `open_connections` is kept at the number of connections.
    pub fn new(make: M, limits: ServeLimits, tls: Option<Tls>, open_connections: Gauge) -> Self {
        // More places than the semaphore can count would panic there; no machine has that many sockets.
        let max_connections = limits.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                make,
                runner: ConnectionRunner::new(limits, tls),
                places: Arc::new(Semaphore::new(max_connections)),
                max_connections,
                open_connections,
                cut: CancellationToken::new(),
                cut_connections: AtomicUsize::new(0),
                open: Mutex::new(Some(HashMap::new())),
            }),
        }
    }

    /// Listens on `address` (port 0 takes a free one) and answers with the address taken. An address that is already
    /// listened on is left as it is.
    pub fn listen(&self, address: SocketAddr, purpose: ListenFor) -> Result<SocketAddr, ListenError> {
        let mut guard = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guard.as_mut().ok_or(ListenError::ShuttingDown(address))?;
        if open.contains_key(&address) {
            return Ok(address);
        }
        let (listener, local) = bind(address).map_err(|source| ListenError::Bind { address, source })?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.shared.clone().accept(listener, stop.clone()));
        open.insert(local, Open { purpose, stop, task });
        Ok(local)
    }

    /// Stops listening on `address`. Connections that came in through it finish their response under way.
    pub async fn remove(&self, address: SocketAddr) {
        let removed = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .and_then(|open| open.remove(&address));
        if let Some(graceful) = close(removed).await.pop() {
            // Its connections still count under the cap, so a later drain waits for them too.
            tokio::spawn(graceful.shutdown());
        }
    }

    /// Makes the repositories' listeners be exactly `wanted`; answers with what could not be opened. The process's own
    /// listeners are never touched.
    pub async fn reconcile(&self, wanted: &[SocketAddr]) -> Vec<ListenError> {
        for address in self.addresses_for(ListenFor::Repository) {
            if !wanted.contains(&address) {
                self.remove(address).await;
            }
        }
        wanted.iter().filter_map(|address| self.listen(*address, ListenFor::Repository).err()).collect()
    }

    /// The addresses listened on for `purpose`.
    pub fn addresses_for(&self, purpose: ListenFor) -> Vec<SocketAddr> {
        let guard = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guard.iter().flatten();
        open.filter(|(_, listener)| listener.purpose == purpose).map(|(address, _)| *address).collect()
    }

    /// Stops accepting, lets responses under way finish until `deadline` has passed, then cuts the rest.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listeners = close(open.into_iter().flatten().map(|(_, listener)| listener)).await;
        let finished = async {
            join_all(listeners.into_iter().map(GracefulShutdown::shutdown)).await;
            self.all_closed().await;
        };
        tokio::select! {
            () = finished => {}
            () = sleep(deadline) => self.shared.cut.cancel(),
            () = self.shared.cut.cancelled() => {}
        }
        // A cut connection's task ends as soon as it is polled; a task that never yields must not hold us up.
        let _ = timeout(Duration::from_secs(1), self.all_closed()).await;
        let left = self.shared.max_connections - self.shared.places.available_permits();
        match self.shared.cut_connections.load(Ordering::Relaxed) + left {
            0 => Drained::Clean,
            cut => Drained::Cut(cut),
        }
    }

    /// Cuts every connection at once: the second signal. A `drain` under way ends.
    pub fn cut(&self) {
        self.shared.cut.cancel();
    }

    /// Waits until every place under the cap is free.
    async fn all_closed(&self) {
        let all = u32::try_from(self.shared.max_connections).unwrap_or(u32::MAX);
        // The semaphore is never closed, so the only outcome is the permits, which go straight back.
        let _ = self.shared.places.acquire_many(all).await;
    }
}

/// Ends the accept loops and hands back their connections' shutdown handles.
async fn close(listeners: impl IntoIterator<Item = Open>) -> Vec<GracefulShutdown> {
    let tasks: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            listener.stop.cancel();
            listener.task
        })
        .collect();
    join_all(tasks).await.into_iter().filter_map(Result::ok).collect()
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // The kernel cuts this down to its own limit (net.core.somaxconn).
    let listener = socket.listen(4096)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

impl<M: MakeService> Shared<M> {
    async fn accept(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) -> GracefulShutdown {
        let connections = GracefulShutdown::new();
        let mut pause = Pause::default();
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        pause.clear();
                        let Ok(place) = self.places.clone().acquire_owned().await else { return };
                        self.clone().spawn(stream, peer, place, connections.watcher());
                    }
                    Err(error) => pause.after(&error).await,
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
            () = self.cut.cancelled() => {}
        }
        connections
    }

    fn spawn(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, drain: Watcher) {
        let local = match stream.local_addr() {
            Ok(local) => local,
            Err(error) => return tracing::debug!(%peer, %error, "connection was gone before it was served"),
        };
        tokio::spawn(async move {
            let _counted = Counted::one_more(&self.open_connections);
            let info = ConnectionInfo { peer, local, files: self.runner.file_queue() };
            let service = self.make.make(info.clone());
            tokio::select! {
                () = self.runner.run(stream, info, service, drain) => {}
                () = self.cut.cancelled() => {
                    self.cut_connections.fetch_add(1, Ordering::Relaxed);
                }
            }
            drop(place);
        });
    }
}

/// How long to wait after accept failed: not at all for a client that left, longer and longer when the process is out of
/// descriptors or memory.
#[derive(Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(10);
    const DOUBLINGS: u32 = 7;

    fn clear(&mut self) {
        self.failures = 0;
    }

    async fn after(&mut self, error: &io::Error) {
        if let Some(wait) = self.wait(error) {
            if self.failures == 1 {
                tracing::error!(%error, "cannot accept connections; trying again until it works");
            }
            sleep(wait).await;
        }
    }

    fn wait(&mut self, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return None;
        }
        let wait = Self::FIRST * 2_u32.pow(self.failures.min(Self::DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        Some(wait)
    }
}

/// One open connection in the gauge, however its task ends.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn one_more(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_descriptors_waits_longer_and_longer_but_never_for_good() {
        let mut pause = Pause::default();
        let exhausted = io::Error::other("Too many open files");
        let waits: Vec<_> = (0..100).filter_map(|_| pause.wait(&exhausted)).collect();
        assert_eq!((waits.len(), waits[0]), (100, Duration::from_millis(10)));
        assert!(waits.is_sorted());
        assert_eq!(waits[99], Duration::from_millis(1280));
        pause.clear();
        assert_eq!(pause.wait(&exhausted), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_client_that_left_costs_no_wait() {
        let mut pause = Pause::default();
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted] {
            assert_eq!(pause.wait(&kind.into()), None);
        }
        assert_eq!(pause.failures, 0);
    }
}
