//! Finding out whether rules are met: who refers to a manifest, what its configuration says, who approved it.
//!
//! Must not know what is promoted where. Presence is looked at, not signatures verified: a rule `signed` keeps out what
//! nobody signed, not what the wrong one did. Invariant: what cannot be read is not met, and never an open gate.

use std::collections::BTreeMap;

use blob_store::BlobStore;
use metadata::HostedTagRow;
use oci::{Digest, MediaType, Referrer, RepoKey, RepositoryName};
use serde_json::Value;

use super::rules::{Rule, RuleVerdict};
use crate::hosted::Hosted;
use crate::hosted::address::show_time;
use crate::hosted::error::HostedError;
use crate::hosted::manifests::read;

/// Referrers looked at; who has more has a signature among the first.
const MOST_REFERRERS: u32 = 1000;
/// Children of an index whose labels are looked at.
const MOST_CHILDREN: usize = 1000;

const SIGNATURES: [&str; 2] =
    ["application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.cncf.notary.signature"];
const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// What cosign 3 writes into the bundle of a signature that is no attestation.
const SIGNED_BY_COSIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const REPORTS: [&str; 2] = ["application/sarif+json", "application/vnd.security.vulnerability.report"];
const ATTESTATIONS: [&str; 2] = ["application/vnd.in-toto+json", SIGSTORE_BUNDLE];
/// Where the type of an attested statement is told, by cosign and by BuildKit.
const PREDICATE: [&str; 3] = ["dev.sigstore.bundle.predicateType", "in-toto.io/predicate-type", "predicateType"];

/// A manifest under a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) repo: &'a RepoKey,
    pub(super) name: &'a RepositoryName,
    pub(super) digest: &'a Digest,
}

impl Candidate<'_> {
    fn shown(&self) -> String {
        format!("{}/{}@{}", self.repo, self.name, self.digest)
    }

    fn place(&self) -> (&RepoKey, &RepositoryName) {
        (self.repo, self.name)
    }
}

/// Looks at every rule.
pub(super) async fn judge(
    hosted: &Hosted,
    candidate: Candidate<'_>,
    rules: &[Rule],
) -> Result<Vec<RuleVerdict>, HostedError> {
    let mut verdicts = Vec::with_capacity(rules.len());
    let mut referrers = None;
    for rule in rules {
        let found = match rule {
            Rule::Signed | Rule::Scanned(_) => {
                let listed = match &referrers {
                    Some(listed) => listed,
                    None => referrers.insert(referring(hosted, candidate).await?),
                };
                match rule {
                    Rule::Scanned(types) => scanned(hosted, candidate, listed, types).await?,
                    Rule::Signed | Rule::Labelled(_) | Rule::Approved => signed(hosted, candidate, listed).await?,
                }
            }
            Rule::Labelled(labels) => labelled(hosted, candidate, labels).await?,
            Rule::Approved => approved(hosted, candidate).await?,
        };
        let (passed, evidence) = match found {
            Ok(evidence) => (true, evidence),
            Err(missing) => (false, missing),
        };
        let advice = (!passed).then(|| rule.advice(&candidate.shown()));
        verdicts.push(RuleVerdict { rule: rule.to_string(), passed, evidence, advice });
    }
    Ok(verdicts)
}

/// What was found, or what was looked for in vain.
type Found = Result<String, String>;

async fn referring(hosted: &Hosted, candidate: Candidate<'_>) -> Result<Vec<Referrer>, HostedError> {
    let (metadata, place) = (&hosted.metadata, candidate.place());
    let rows = metadata.list_hosted_referrers(place, candidate.digest, None, ("", MOST_REFERRERS)).await?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        let text = metadata.hosted_referrer(candidate.repo, candidate.name, &row.digest).await?;
        listed.extend(text.and_then(|text| serde_json::from_str(&text).ok()));
    }
    Ok(listed)
}

async fn signed(hosted: &Hosted, candidate: Candidate<'_>, referrers: &[Referrer]) -> Result<Found, HostedError> {
    let signature = referrers.iter().find(|one| {
        let kind = one.artifact_type.as_deref().unwrap_or_default();
        SIGNATURES.contains(&kind)
            || (kind.starts_with(SIGSTORE_BUNDLE) && predicate(one).is_none_or(|kind| kind == SIGNED_BY_COSIGN))
    });
    if let Some(signature) = signature {
        let kind = signature.artifact_type.as_deref().unwrap_or_default();
        return Ok(Ok(format!("{} of type {kind} refers to it", signature.digest)));
    }
    match tagged(hosted, candidate, "sig").await? {
        Some((tag, row)) => Ok(Ok(format!("{} is tagged {tag}", row.digest))),
        None => Ok(Err(format!("no signature refers to {}", candidate.digest))),
    }
}

async fn scanned(
    hosted: &Hosted,
    candidate: Candidate<'_>,
    referrers: &[Referrer],
    types: &[String],
) -> Result<Found, HostedError> {
    let report = referrers.iter().find(|one| {
        let kind = one.artifact_type.as_deref().unwrap_or_default();
        let plain = kind.split(';').next().unwrap_or_default().trim();
        if !types.is_empty() {
            return types.iter().any(|wanted| wanted == kind || wanted == plain);
        }
        let attested = ATTESTATIONS.iter().any(|known| kind.starts_with(known));
        REPORTS.contains(&plain) || (attested && predicate(one).is_some_and(is_of_vulnerabilities))
    });
    if let Some(report) = report {
        let kind = report.artifact_type.as_deref().unwrap_or_default();
        return Ok(Ok(format!("{} of type {kind} refers to it", report.digest)));
    }
    if let Some((tag, row)) = tagged(hosted, candidate, "att").await?.filter(|_| types.is_empty()) {
        let manifest = document(hosted, &row).await?;
        let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
        let mut predicates = layers.filter_map(|layer| layer.get("annotations")?.get("predicateType")?.as_str());
        if predicates.any(is_of_vulnerabilities) {
            return Ok(Ok(format!("{} is tagged {tag}", row.digest)));
        }
    }
    Ok(Err(format!("no report of a scan refers to {}", candidate.digest)))
}

fn predicate(referrer: &Referrer) -> Option<&str> {
    let annotations = referrer.annotations.as_ref()?;
    PREDICATE.iter().find_map(|name| annotations.get(*name)).map(|value| &**value)
}

/// `https://cosign.sigstore.dev/attestation/vuln/v1`, `https://in-toto.io/attestation/vulns/v0.1` and their like.
fn is_of_vulnerabilities(predicate: &str) -> bool {
    predicate.to_ascii_lowercase().contains("vuln")
}

/// What cosign's older form keeps under a tag of its own.
async fn tagged(
    hosted: &Hosted,
    candidate: Candidate<'_>,
    kind: &str,
) -> Result<Option<(String, HostedTagRow)>, HostedError> {
    let digest = candidate.digest;
    let tag = format!("{}-{}.{kind}", digest.algorithm().as_str(), digest.hex());
    // The hex of sha512 is longer than a tag may be.
    let Ok(parsed) = tag.parse() else { return Ok(None) };
    let row = hosted.metadata.find_hosted_tag(candidate.repo, candidate.name, &parsed).await?;
    Ok(row.map(|row| (tag, row)))
}

async fn labelled(
    hosted: &Hosted,
    candidate: Candidate<'_>,
    wanted: &BTreeMap<String, String>,
) -> Result<Found, HostedError> {
    let row = hosted.metadata.find_hosted_manifest(candidate.repo, candidate.name, candidate.digest).await?;
    let Some(row) = row else { return Ok(Err(format!("{} is not there", candidate.digest))) };
    let (found, kind) = labels_of(hosted, candidate.digest, &row.media_type).await?;
    if holds(&found, wanted) {
        return Ok(Ok(format!("in the {kind} of {}", candidate.digest)));
    }
    if !row.media_type.is_index() {
        return Ok(Err(format!("{} has labels {}", candidate.digest, shown(&found))));
    }
    let index = document(hosted, &HostedTagRow { digest: row.digest, media_type: row.media_type }).await?;
    let children = index.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let images = children.filter(|child| {
        // What BuildKit adds to describe an image is no image.
        child.get("platform").and_then(|platform| platform.get("os")).and_then(Value::as_str) != Some("unknown")
    });
    let mut seen = 0;
    for child in images.take(MOST_CHILDREN) {
        let Some(Ok(digest)) = child.get("digest").and_then(Value::as_str).map(str::parse::<Digest>) else {
            return Ok(Err("a child of the index cannot be read".to_owned()));
        };
        // An index may list blobs too, whatever it says they are.
        let Some(row) = hosted.metadata.find_hosted_manifest(candidate.repo, candidate.name, &digest).await? else {
            return Ok(Err(format!("what it lists as {digest} is no manifest")));
        };
        let (found, _) = labels_of(hosted, &digest, &row.media_type).await?;
        if !holds(&found, wanted) {
            return Ok(Err(format!("its image {digest} has labels {}", shown(&found))));
        }
        seen += 1;
    }
    Ok(if seen == 0 { Err("the index lists no image".to_owned()) } else { Ok(format!("in all {seen} of its images")) })
}

fn holds(found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| found.get(key) == Some(value))
}

fn shown(found: &BTreeMap<String, String>) -> String {
    match found.len() {
        0 => "none".to_owned(),
        more @ 9.. => format!("{more}, not these"),
        1..=8 => found.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", "),
    }
}

/// The annotations of a manifest and the labels of its configuration, the latter winning.
async fn labels_of(
    hosted: &Hosted,
    digest: &Digest,
    media_type: &MediaType,
) -> Result<(BTreeMap<String, String>, &'static str), HostedError> {
    let manifest = document(hosted, &HostedTagRow { digest: *digest, media_type: media_type.clone() }).await?;
    let mut labels = texts(manifest.get("annotations"));
    if !media_type.is_manifest() {
        return Ok((labels, "annotations"));
    }
    let config = manifest.get("config").and_then(|config| config.get("digest")).and_then(Value::as_str);
    if let Some(Ok(digest)) = config.map(str::parse::<Digest>)
        && let Some(handle) = hosted.uploads.store().open(&digest).await?
        && handle.size() <= oci::limits::MAX_MANIFEST_BYTES as u64
    {
        let bytes = read(&*handle).await.map_err(|error| HostedError::storage(&error))?;
        let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        labels.extend(texts(config.get("config").and_then(|config| config.get("Labels"))));
    }
    Ok((labels, "labels"))
}

fn texts(object: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = object.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A stored manifest as JSON. One that is none says nothing, so it meets no rule.
async fn document(hosted: &Hosted, row: &HostedTagRow) -> Result<Value, HostedError> {
    let manifest = hosted.read_manifest(&row.digest, row.media_type.clone()).await?;
    Ok(serde_json::from_slice(&manifest.bytes).unwrap_or_default())
}

async fn approved(hosted: &Hosted, candidate: Candidate<'_>) -> Result<Found, HostedError> {
    let approvals = hosted.metadata.approvals(candidate.place(), candidate.digest).await?;
    Ok(match approvals.last() {
        Some(last) => {
            let note = if last.note.is_empty() { String::new() } else { format!(": {}", last.note) };
            Ok(format!("by {} at {}{note}", last.principal, show_time(last.approved_at)))
        }
        None => Err(format!("nobody approved {}", candidate.digest)),
    })
}
