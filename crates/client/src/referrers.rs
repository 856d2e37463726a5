//! Referrers of a manifest, however its registry tells them: by the API, by the referrers tag, by cosign's older tags.
//!
//! Must not know who asks or what is kept. Invariants: a registry that sends questions for referrers somewhere else by
//! 303 (GHCR: to a web API with limits of its own) is never followed there; an outage is an error, and is never taken
//! for "there are none"; lists are bounded in pages, bytes and entries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use oci::limits::{MAX_MANIFEST_BYTES, MAX_REFERRERS};
use oci::{Digest, MediaType, Reference, Referrer, RepositoryName, parse_referrers};
use tokio::time::Instant;
use url::Url;

use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::manifests::ManifestFetch;
use crate::profiles::{Profile, Referrers as Support};
use crate::registry_client::{RegistryClient, call};
use crate::transport::Attempt;

/// Most pages read.
const MAX_PAGES: usize = 32;

/// How long it is remembered that a registry has no such API.
const REMEMBERED_FOR: Duration = Duration::from_hours(24);

/// Cosign's tags of before the API: the suffix, and what the manifest behind it is.
const COSIGN: [(&str, &str); 3] = [
    ("sig", "application/vnd.dev.cosign.artifact.sig.v1+json"),
    ("att", "application/vnd.dev.cosign.artifact.att.v1+json"),
    ("sbom", "application/vnd.dev.cosign.artifact.sbom.v1+json"),
];

/// Whether the API may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrersApi {
    /// First, unless the registry is known not to have it.
    Ask,
    /// It alone, whatever is known of the registry; one that does not have it tells of none.
    Only,
    /// Never: only the tags count.
    Skip,
}

/// How a list of referrers was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrersFound {
    /// The API told.
    Api,
    /// Under the referrers tag (distribution-spec "Referrers Tag Schema").
    Tag,
    /// Under cosign's tags.
    CosignTags,
    /// There are none.
    Nowhere,
}

/// Who refers to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersList {
    /// They, in the upstream's order.
    pub listed: Vec<Referrer>,
    /// How they were found.
    pub found: ReferrersFound,
}

/// One page of a list.
struct Page {
    referrers: Vec<Referrer>,
    next: Option<Url>,
    /// Of the document, in bytes: all pages together are bounded as one would be.
    size: usize,
}

/// What is known of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Capability {
    /// The profile says that asking is useless, or does harm.
    never: bool,
    missing_since: Arc<Mutex<Option<Instant>>>,
    /// It has answered.
    present: Arc<AtomicBool>,
}

impl Capability {
    /// What the profile of an upstream says.
    pub(crate) fn of(profile: &Profile) -> Self {
        let never = match profile.referrers {
            Support::Harmful | Support::Absent => true,
            Support::Native | Support::Partial | Support::Unknown => false,
        };
        Self { never, missing_since: Arc::default(), present: Arc::default() }
    }

    fn is_missing(&self) -> bool {
        if self.never {
            return true;
        }
        let since = *self.missing_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    fn note_missing(&self) {
        *self.missing_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl RegistryClient {
    /// The manifests under `name` that name `subject`.
    pub async fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        api: ReferrersApi,
    ) -> Result<ReferrersList, ClientError> {
        let ask = match api {
            ReferrersApi::Ask => !self.referrers_capability().is_missing(),
            ReferrersApi::Only => true,
            ReferrersApi::Skip => false,
        };
        if ask {
            match self.referrers_by_api(name, subject).await {
                Ok(listed) if listed.is_empty() => return Ok(ReferrersList { listed, found: ReferrersFound::Nowhere }),
                Ok(listed) => return Ok(ReferrersList { listed, found: ReferrersFound::Api }),
                Err(error) => self.judge(error)?,
            }
        }
        if api == ReferrersApi::Only {
            return Ok(ReferrersList { listed: Vec::new(), found: ReferrersFound::Nowhere });
        }
        self.referrers_by_tags(name, subject).await
    }

    /// Whether the registry keeps lists of referrers by itself; asked once, for `subject`.
    pub(crate) async fn lists_referrers(&self, name: &RepositoryName, subject: &Digest) -> Result<bool, ClientError> {
        let capability = self.referrers_capability();
        if capability.is_missing() || capability.present.load(Ordering::Relaxed) {
            return Ok(!capability.is_missing());
        }
        match self.referrers_by_api(name, subject).await {
            Ok(_) => capability.present.store(true, Ordering::Relaxed),
            // Refused to us alone, perhaps: no reason to keep a list of our own.
            Err(error) if matches!(error.upstream_status(), Some(401 | 403)) => {}
            Err(error) => {
                self.judge(error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets pass what says that there is no such API; every other failure is one.
    fn judge(&self, error: ClientError) -> Result<(), ClientError> {
        match error.upstream_status() {
            Some(303 | 400 | 404 | 405 | 406 | 501) => {
                self.referrers_capability().note_missing();
                Ok(())
            }
            // Some refuse the path to everybody; whether content may be read is told by the tags.
            Some(401 | 403) => Ok(()),
            _ => Err(error),
        }
    }

    async fn referrers_by_api(&self, name: &RepositoryName, subject: &Digest) -> Result<Vec<Referrer>, ClientError> {
        let mut url = self.endpoint().content(name, &format!("referrers/{subject}"));
        let (mut listed, mut bytes) = (Vec::new(), 0);
        for _ in 0..MAX_PAGES {
            let mut call =
                call(Method::GET, url.clone(), ExchangeKind::Referrers, Some(self.endpoint().pull_scope(name)));
            call.headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.oci.image.index.v1+json"));
            let call = &call;
            let Page { referrers, next, size } = self.retry().run(|attempt| self.referrers_page(call, attempt)).await?;
            bytes += size;
            if bytes > MAX_MANIFEST_BYTES {
                let (upstream, what) = (self.upstream().clone(), "referrers of one manifest");
                return Err(ClientError::TooLarge { upstream, what, limit: MAX_MANIFEST_BYTES });
            }
            listed.extend(referrers);
            if listed.len() > MAX_REFERRERS {
                return Err(self.protocol(format!("more than {MAX_REFERRERS} referrers of one manifest")));
            }
            match next {
                None => return Ok(listed),
                Some(next) if next == url => {
                    return Err(self.protocol("a list of referrers whose next page is the same"));
                }
                Some(next) => url = next,
            }
        }
        Err(self.protocol(format!("more than {MAX_PAGES} pages of referrers")))
    }

    async fn referrers_page(&self, call: &Call, attempt: Attempt) -> Result<Page, ClientError> {
        let answer = self.ask(call, attempt).await?;
        // Of the link only the query is taken, so it cannot lead to another host or path.
        let next = match answer.next_page(&call.url, "a list of referrers") {
            Ok(next) => next.map(|next| with_query(&call.url, next.query())),
            Err(error) => return Err(answer.reject(error)),
        };
        let body = read_document(answer, "a list of referrers", MAX_MANIFEST_BYTES).await?;
        let referrers = parse_referrers(&body).map_err(|error| self.protocol(error.to_string()))?;
        Ok(Page { referrers, next, size: body.len() })
    }

    async fn referrers_by_tags(&self, name: &RepositoryName, subject: &Digest) -> Result<ReferrersList, ClientError> {
        let tag = format!("{}-{}", subject.algorithm().as_str(), &subject.hex()[..64]);
        let listed = self.listed_under(name, &tag).await?;
        if !listed.is_empty() {
            return Ok(ReferrersList { listed, found: ReferrersFound::Tag });
        }
        let mut listed = Vec::new();
        for (suffix, artifact_type) in COSIGN {
            listed.extend(self.cosign_artifact(name, &format!("{tag}.{suffix}"), artifact_type).await?);
        }
        let found = if listed.is_empty() { ReferrersFound::Nowhere } else { ReferrersFound::CosignTags };
        Ok(ReferrersList { listed, found })
    }

    /// What the index under the referrers tag lists; nothing when there is no such tag.
    async fn listed_under(&self, name: &RepositoryName, tag: &str) -> Result<Vec<Referrer>, ClientError> {
        let Ok(tag) = tag.parse() else { return Ok(Vec::new()) };
        match self.get_manifest(name, &Reference::Tag(tag), None).await {
            Ok(ManifestFetch::Fetched { bytes, media_type, .. }) if media_type.is_index() => {
                parse_referrers(&bytes).map_err(|error| self.protocol(error.to_string()))
            }
            Ok(ManifestFetch::Fetched { .. } | ManifestFetch::NotModified) | Err(ClientError::NotFound { .. }) => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn cosign_artifact(
        &self,
        name: &RepositoryName,
        tag: &str,
        artifact_type: &str,
    ) -> Result<Option<Referrer>, ClientError> {
        let Ok(tag) = tag.parse() else { return Ok(None) };
        let head = match self.head_manifest(name, &Reference::Tag(tag)).await {
            Ok(head) => head,
            Err(ClientError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (Some(digest), Some(size)) = (head.digest, head.size) else { return Ok(None) };
        Ok(Some(Referrer {
            media_type: head.media_type.unwrap_or(MediaType::OCI_IMAGE_MANIFEST),
            digest,
            size,
            artifact_type: Some(artifact_type.to_owned()),
            annotations: None,
        }))
    }
}

fn with_query(asked: &Url, query: Option<&str>) -> Url {
    let mut url = asked.clone();
    url.set_query(query);
    url
}
