//! The compatibility probe: asks one registry what a pull, a lazy pull and a CDN would ask, and judges the answers.
//!
//! One file for each group of checks. It goes through the client's own handshake, redirects and egress filter, so what
//! it sees is what a pull sees. Must not know our own server, configuration or stores. Invariants: only GET and HEAD
//! are sent; a report holds every check once, asked or not; it holds no secret; a probe ends in bounded time.

mod blobs;
mod byteranges;
mod cache_control;
mod entrance;
mod freshness;
mod image_ref;
mod large_blob;
mod limits;
mod lists;
mod manifests;
mod network;
mod proxied;
mod ranges;
mod redirects;
mod report;
mod seen;
mod session;
mod tls_look;
mod validators;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use oci::{Reference, RepositoryName};
use tokio::time::timeout;

pub use image_ref::{ImageRef, InvalidImageRef};
pub use report::{Answer, Check, CheckId, Group, Judgement, Outcome, ProbeExchange, Report, Verdict};

use crate::config::UpstreamConfig;
use crate::error::ClientError;
use crate::exchange::ExchangeObserver;
use crate::redact;
use crate::registry_client::RegistryClient;
use freshness::Login;
use report::Findings;
use session::Session;

/// Longest time for all checks together; what is not asked by then is skipped.
const WHOLE_PROBE: Duration = Duration::from_mins(3);

/// Longest wait for the head of one answer.
const FIRST_BYTE: Duration = Duration::from_secs(20);
/// Longest wait for a piece of a body.
const IDLE: Duration = Duration::from_secs(10);

/// Told which group of checks begins.
pub type Progress<'p> = &'p (dyn Fn(Group) + Send + Sync);

/// A probe of one upstream. It has connections and tokens of its own, so that it meets what a first pull meets.
pub struct Probe {
    session: Session,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Probe").field("upstream", self.session.client.upstream()).finish_non_exhaustive()
    }
}

impl Probe {
    /// Sets a probe up. No network access. Errors are those of `RegistryClient::new`.
    pub fn new(mut config: UpstreamConfig, observer: Arc<dyn ExchangeObserver>) -> Result<Self, ClientError> {
        config.timeouts.first_byte = config.timeouts.first_byte.min(FIRST_BYTE);
        config.timeouts.idle = config.timeouts.idle.min(IDLE);
        Ok(Self { session: Session::new(config, observer)? })
    }

    /// A probe of a client's upstream, with the same credential and the same rules.
    pub fn of(client: &RegistryClient) -> Result<Self, ClientError> {
        Self::new(client.config().clone(), client.observer().clone())
    }

    /// Asks everything. Without an image only the checks are made that need none.
    pub async fn run(self, image: Option<&ImageRef>, progress: Progress<'_>) -> Report {
        let mut work = Work { session: &self.session, findings: Findings::default(), progress, shown_image: None };
        // Boxed: what it holds of each question is large, and whoever runs it would carry it.
        let in_time = timeout(WHOLE_PROBE, Box::pin(work.everything(image))).await.is_ok();
        let Work { findings, shown_image, .. } = work;
        let why = match (in_time, image) {
            (false, _) => "the probe ran out of time",
            (true, None) => "needs an image: name one",
            (true, Some(_)) => "what it needs was not there, see above",
        };
        let checks = completed(findings, why);
        Report {
            target: redact::url(&self.session.config.url),
            image: shown_image.or_else(|| image.map(ToString::to_string)),
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            verdict: verdict::of(&checks),
            checks,
            exchanges: self.session.exchanges(),
        }
    }
}

/// A probe under way; what was found survives when time runs out.
struct Work<'w> {
    session: &'w Session,
    findings: Findings,
    progress: Progress<'w>,
    shown_image: Option<String>,
}

impl Work<'_> {
    async fn everything(&mut self, image: Option<&ImageRef>) {
        (self.progress)(Group::Network);
        self.findings.0.extend(network::check(self.session).await);
        if self.findings.0.iter().any(|check| check.outcome == Outcome::Fail) {
            return;
        }
        (self.progress)(Group::Access);
        entrance::check_base(self.session, &mut self.findings).await;
        if let Some(image) = image {
            self.image(image).await;
        } else {
            let base = self.session.base();
            entrance::check_challenge(self.session, &base, &mut self.findings).await;
            if !self.findings.has(CheckId::Token) {
                self.findings.skipped(CheckId::Token, "tokens are for an image: name one", "");
            }
        }
        limits::check_retry_after(self.session, &mut self.findings);
    }

    async fn image(&mut self, image: &ImageRef) {
        let (session, findings, name) = (self.session, &mut self.findings, &image.name);
        let reference = match &image.reference {
            Some(reference) => reference.clone(),
            None => match lists::choose_tag(session, name).await.map(|tag| tag.parse::<Reference>()) {
                Ok(Ok(reference)) => reference,
                Ok(Err(error)) => return findings.fail(CheckId::ManifestHead, error.to_string(), "name a tag"),
                Err(why) => {
                    let seen = format!("no tag was given, and none could be chosen: {why}");
                    return findings.fail(CheckId::ManifestHead, seen, "name a tag: NAME:TAG");
                }
            },
        };
        self.shown_image = Some(ImageRef { name: name.clone(), reference: Some(reference.clone()) }.to_string());
        let question = manifests::question(session, Method::HEAD, name, &reference.to_string());
        let wanted = entrance::check_challenge(session, &question, findings).await;
        let login = match (wanted, session.client.handshake().is_anonymous()) {
            (false, _) => Login::None,
            (true, true) => Login::Anybody,
            (true, false) => Login::Credential,
        };
        self.content(name, &reference, login).await;
    }

    async fn content(&mut self, name: &RepositoryName, reference: &Reference, login: Login) {
        let (session, findings, progress) = (self.session, &mut self.findings, self.progress);
        progress(Group::Manifests);
        let manifest = manifests::check(session, name, reference, findings).await;
        let question = manifests::question(session, Method::HEAD, name, &reference.to_string());
        entrance::check_token(session, &question, findings);
        limits::check_limit(manifest.as_ref().map(|manifest| &manifest.get), findings);
        let Some(manifest) = manifest else { return };
        manifests::check_missing(session, name, findings).await;
        progress(Group::Blobs);
        let blob = blobs::check(session, name, &manifest, findings).await;
        if let Some(blob) = &blob {
            progress(Group::Ranges);
            ranges::check(session, name, blob, findings).await;
        }
        progress(Group::Caching);
        let tag = reference.to_string();
        validators::check(session, name, &tag, &manifest, blob.as_ref(), findings).await;
        freshness::check(reference, &manifest, blob.as_ref(), findings);
        freshness::check_vary(session, name, &tag, &manifest, login, findings).await;
        progress(Group::Lists);
        lists::check_tags(session, name, findings).await;
        lists::check_referrers(session, name, &manifest.digest, findings).await;
    }
}

/// Every check once, in order; those not made are skipped for `why`.
fn completed(findings: Findings, why: &str) -> Vec<Check> {
    let mut made = findings.0;
    CheckId::ALL
        .iter()
        .map(|id| match made.iter().position(|check| check.id == *id) {
            Some(at) => made.swap_remove(at),
            None => Check::new(*id, Outcome::Skipped, why, ""),
        })
        .collect()
}
