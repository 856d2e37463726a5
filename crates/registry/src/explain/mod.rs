//! Says what a pull of an image would do now, and why.
//!
//! Must not ask anybody nor change anything: no request upstream, no access time, nothing fetched or dropped. Invariant:
//! what is said follows from the same knowledge, by the same rules, that a pull would go by.

mod address;
mod answer;
mod asking;
mod group;
mod logins;
mod offline;
mod parts;
mod plan;
mod tag;
mod upstreams;
mod words;

use oci::Reference;

use crate::core::Core;
use crate::error::PullError;
use crate::repositories::Route;

pub use address::{ImageAddress, InvalidImageAddress};
pub use answer::{
    CachedPart, ExplainedCredential, ExplainedGroup, ExplainedMember, ExplainedRateLimit, ExplainedRoute,
    ExplainedStep, ExplainedTag, ExplainedUpstream, Explanation, OfflineAnswer, PartKind, Presence,
};

/// Explains an image.
pub(crate) async fn explain(core: &Core, address: &ImageAddress) -> Result<Explanation, PullError> {
    let map = core.map().clone();
    if let Some((route, how)) = address.group(&map)? {
        return group::explain(core, address, &route, how).await;
    }
    let (route, how) = address.resolve(&map)?;
    explain_at(core, address, route, how).await
}

async fn explain_at(core: &Core, address: &ImageAddress, route: Route, how: String) -> Result<Explanation, PullError> {
    let known = match address.reference() {
        Reference::Tag(tag) => Some((tag, crate::pull::look_up_tag(core, &route, tag).await?)),
        Reference::Digest(_) => None,
    };
    let root = match (address.reference(), &known) {
        (Reference::Digest(digest), _) => Some(*digest),
        (Reference::Tag(_), Some((_, known))) => known.known.map(|(digest, _)| digest),
        (Reference::Tag(_), None) => None,
    };
    let found = match &root {
        Some(digest) => parts::collect(core, &route, digest).await?,
        None => parts::Found::default(),
    };
    let tag = match &known {
        Some((tag, known)) => Some(tag::explained(core, &route, tag, known).await?),
        None => None,
    };
    let asked = plan::Known {
        reference: address.reference(),
        tag: tag.as_ref(),
        kept_back: known.as_ref().and_then(|(_, known)| known.kept_back.as_ref()),
        parts: &found.parts,
    };
    Ok(Explanation {
        image: address.text().to_owned(),
        rights: rights(&route),
        upstreams: upstreams::explained(&route),
        pull_now: plan::steps(&route, &asked),
        offline: offline::answer(&route, tag.as_ref(), &found),
        route: ExplainedRoute {
            repo_key: route.repo.key().to_string(),
            configured_by: route.repo.source().as_str().to_owned(),
            library_added: address.added(&route),
            name: route.name.to_string(),
            reference: address.reference().to_string(),
            how,
        },
        tag,
        parts: found.parts,
        parts_left_out: found.left_out,
        group: None,
    })
}

fn rights(route: &Route) -> String {
    if route.repo.is_passthrough() {
        return "the caller's own (auth: passthrough): upstream decides for each caller before anything is served"
            .to_owned();
    }
    "the repository's: whoever reaches this server may pull what its credential may".to_owned()
}
