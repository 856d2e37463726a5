//! `/v2/`: whether there is a registry, and whether it takes our login.
//!
//! Must not know content. The pull path never pings: each request meets its own challenge.

use http::Method;

use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::registry_client::{RegistryClient, call};

/// Largest body read of a ping's answer; nobody wants it, but a drained connection can be used again.
const MAX_PING_BODY: usize = 64 * 1024;

impl RegistryClient {
    /// Asks for `/v2/`. With a credential, success means that the upstream takes it. Without one, a request for a login
    /// (`Unauthorized`) still shows that a registry is there, and counts as success.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let call = call(Method::GET, self.endpoint().root(), ExchangeKind::Ping, None);
        let call = &call;
        let outcome = self
            .retry()
            .run(|attempt| async move {
                let answer = self.ask(call, attempt).await?;
                read_document(answer, "the answer to a ping", MAX_PING_BODY).await
            })
            .await;
        match outcome {
            Err(ClientError::Unauthorized { .. }) if self.handshake().is_anonymous() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }
}
