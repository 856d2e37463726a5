//! Asks the management API of a running server, for commands.
//!
//! Must not know what is asked. Invariants: the admin token goes to the named server only, along no redirect and
//! through no proxy; an error of the server is told in its own words, all of them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::Secret;
use oci::ErrorBody;
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode, redirect};
use serde_json::Value;
use url::Url;

use crate::admin_token;
use crate::cache_dir;
use crate::config::{AdminToken, Environment, Sources, env_vars};

/// Where a server listens when it is told nothing.
const DEFAULT_SERVER: &str = "http://127.0.0.1:5000";
/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for an answer; a check of an upstream takes its time.
const ANSWER: Duration = Duration::from_mins(4);

/// A server and the token for it.
pub(crate) struct ApiClient {
    server: Url,
    token: Secret,
}

impl ApiClient {
    /// Finds out which server is meant and where its token is: flags first, then the environment, then the file.
    pub(crate) fn new(
        server: Option<&str>,
        token_file: Option<&str>,
        config: Option<PathBuf>,
        environment: Environment,
    ) -> Result<Self> {
        let server = server.or_else(|| environment.get(env_vars::SERVER)).unwrap_or(DEFAULT_SERVER);
        let server = Url::parse(server).with_context(|| format!("--server {server} is not a URL"))?;
        if !matches!(server.scheme(), "http" | "https") || server.host_str().is_none() {
            bail!("--server must begin with http:// or https://");
        }
        let token = token(token_file, config, environment)?;
        Ok(Self { server, token })
    }

    /// The server, for people.
    pub(crate) fn server(&self) -> String {
        self.server.origin().ascii_serialization()
    }

    /// POSTs a document and reads the one that is answered.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = Self::http()?.post(self.at(path)?).header(CONTENT_TYPE, "application/json");
        self.ask(request.body(body.to_string())).await
    }

    /// GETs a document.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut url = self.at(path)?;
        url.query_pairs_mut().extend_pairs(query);
        self.ask(Self::http()?.get(url)).await
    }

    /// DELETEs something that is answered without a document.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.answered(Self::http()?.delete(self.at(path)?)).await.map(drop)
    }

    fn at(&self, path: &str) -> Result<Url> {
        self.server.join(path).context("the server's address cannot be used")
    }

    fn http() -> Result<reqwest::Client> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build();
        client.context("cannot set up a connection")
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value> {
        let bytes = self.answered(request).await?;
        serde_json::from_slice(&bytes).context("the answer is no JSON: is this a Transship server?")
    }

    /// The body of an answer that says yes.
    async fn answered(&self, request: RequestBuilder) -> Result<Vec<u8>> {
        let sent = request.bearer_auth(self.token.expose()).send().await;
        let answer = sent.map_err(|error| {
            let error = anyhow::Error::new(error.without_url());
            error
                .context(format!("no answer from {}; is the server running? name another with --server", self.server()))
        })?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| anyhow!("the answer broke off: {}", error.without_url()))?;
        if status.is_success() {
            return Ok(bytes.to_vec());
        }
        Err(refusal(status, &bytes))
    }
}

/// The server answered, and the answer is no. Its words say why.
#[derive(Debug, thiserror::Error)]
#[error("the server says: {words}")]
pub(crate) struct ServerSaidNo {
    words: String,
}

fn refusal(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let said = serde_json::from_slice::<ErrorBody>(body).ok().filter(|body| !body.errors.is_empty());
    match said {
        Some(said) => {
            let words: Vec<String> = said.errors.into_iter().map(|entry| entry.message).collect();
            let words = words.join("; ");
            // Who is not let in, or finds the server failing, was not answered.
            if status == StatusCode::UNAUTHORIZED || status.is_server_error() {
                return anyhow!("the server says: {words}");
            }
            anyhow::Error::new(ServerSaidNo { words })
        }
        None => anyhow!("the server answered {status}: is this a Transship server?"),
    }
}

/// The token, found where the server would find it.
pub(crate) fn token(token_file: Option<&str>, config: Option<PathBuf>, environment: Environment) -> Result<Secret> {
    let file = config.or_else(|| environment.get(env_vars::CONFIG).map(PathBuf::from));
    if let Some(file) = token_file {
        // What is typed counts, whatever the environment says.
        return admin_token::read(file.as_ref());
    }
    let config = Sources { file, flags: Vec::new(), environment }.load().map_err(|problems| anyhow!("{problems}"))?;
    let found = match &config.admin_token {
        AdminToken::Given(token) => return Ok(token.clone()),
        AdminToken::File(file) => file.clone(),
        AdminToken::OwnFile => cache_dir::admin_token_in(&config.cache_dir),
    };
    admin_token::read(&found).context("give the token's file with --admin-token-file or TRANSSHIP_ADMIN_TOKEN_FILE")
}
