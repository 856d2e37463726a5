//! The accept loop of an upstream and the life of each of its connections.
//!
//! Must not know: the test's runtime; it runs on one of its own. Invariant: when `run` has ended, the port is free and
//! no connection is left.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::delivery::{After, deliver};
use super::plan::Plan;
use super::request_log::Entry;
use super::routes;
use super::script::Script;
use super::state::State;

/// Accepts until told to stop; then drops the listener and cuts all connections.
pub(crate) async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                connections.spawn(serve(socket, tls.clone(), Arc::clone(&state)));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// One connection. Errors here are a client that went away, which is that client's right.
async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let Ok(mut connection) = Connection::accept(socket, tls.as_ref()).await else { return };
    loop {
        let Ok(Some(request)) = connection.next_request().await else { return };
        let request = state.log.open(request);
        let outcome = answer(&mut connection, &state, &request).await;
        state.log.bump();
        let closed = match outcome {
            Ok(After::KeepOpen) if request.header("connection") != Some("close") => continue,
            Ok(After::KeepOpen | After::Close) => connection.close().await,
            Ok(After::Cut(how)) => connection.cut(how),
            Err(gone) => Err(gone),
        };
        // Nobody is left to tell: a failed close means that the client was faster.
        return drop(closed);
    }
}

async fn answer(connection: &mut Connection, state: &State, request: &Entry) -> io::Result<After> {
    let plan = if let Err(refusal) = routes::authenticate(state, request) {
        Plan::plain(refusal)
    } else {
        let script = Script::fold(state.strike(request));
        for gate in &script.holds {
            gate.pass().await;
        }
        tokio::time::sleep(script.delay).await;
        if let Some(how) = script.hang_up {
            return Ok(After::Cut(how));
        }
        Plan::bend(state, request, routes::answer(state, request), script)
    };
    state.log.answered(request, plan.answer.status);
    deliver(connection, request, plan).await
}
