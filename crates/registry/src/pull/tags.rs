//! Lists of tags: upstream's when it answers, the cached ones when it does not.
//!
//! Must not know HTTP. Invariant: a list that comes from the cache says so (`Stale`), because it holds only tags
//! that were pulled.

use std::sync::Arc;

use client::RegistryClient;
use oci::{Tag, limits};

use super::freshness::stale_reason;
use super::manifest::within;
use super::tag::TAG_CHECK;
use super::upstreams;
use crate::access::Right;
use crate::core::Core;
use crate::error::{PullError, Subject};
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::repositories::Route;
use crate::sources::Answered;

/// What part of a list is asked for.
#[derive(Clone, Debug, Default)]
pub struct TagsQuery {
    /// At most so many tags; 0 asks for none.
    pub n: Option<u32>,
    /// Only tags after this one, in lexical order.
    pub last: Option<String>,
}

/// A page of tags.
#[derive(Clone, Debug)]
pub struct TagsAnswer {
    /// The tags, in upstream's order.
    pub tags: Vec<Tag>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
    /// How the list was answered.
    pub outcome: PullOutcome,
    /// Why the list is only what was cached, when it is.
    pub stale: Option<Arc<str>>,
}

/// Lists tags.
pub(crate) async fn list(core: &Core, route: &Route, query: &TagsQuery) -> Result<TagsAnswer, PullError> {
    route.admitted(Right::List)?;
    let answer = ask(core, route, query).await?;
    route.repo.counters().pulled(PullKind::Tags, answer.outcome);
    Ok(answer)
}

/// Whether upstream has any tag of the name; what is cached counts while it fails.
pub(crate) async fn has_tags(core: &Core, route: &Route) -> Result<bool, PullError> {
    route.admitted(Right::List)?;
    Ok(!ask(core, route, &TagsQuery { n: Some(1), last: None }).await?.tags.is_empty())
}

async fn ask(core: &Core, route: &Route, query: &TagsQuery) -> Result<TagsAnswer, PullError> {
    let last = query.last.as_deref();
    let page_of = |client: RegistryClient, name| async move { client.list_tags(&name, query.n, last).await };
    let asked = upstreams::ask_named(core, route, "tags", None, page_of);
    // What is left of the time to the first header is for the cached tags.
    let error = match within(route, TAG_CHECK, asked).await {
        Ok(Ok(Answered { value: page, .. })) => {
            let (tags, next) = as_asked(page.tags, page.next_last, query);
            return Ok(TagsAnswer { tags, next, outcome: PullOutcome::Miss, stale: None });
        }
        Ok(Err(failure)) => upstreams::failed(route, &Subject::Manifest(route.name.as_ref().into()), &failure),
        Err(slow) => slow,
    };
    cached(core, route, query, error).await
}

/// The page that was asked for: some registries ignore `n` and `last` and send the whole list each time.
fn as_asked(mut tags: Vec<Tag>, next: Option<String>, query: &TagsQuery) -> (Vec<Tag>, Option<String>) {
    if let Some(at) = query.last.as_ref().and_then(|last| tags.iter().position(|tag| tag.as_ref() == last.as_str())) {
        tags.drain(..=at);
    }
    match query.n.map(|n| n as usize) {
        Some(limit) if tags.len() > limit => {
            tags.truncate(limit);
            let next = tags.last().map(ToString::to_string);
            (tags, next)
        }
        Some(_) | None => (tags, next),
    }
}

/// The cached tags, if upstream's failure allows them.
async fn cached(core: &Core, route: &Route, query: &TagsQuery, error: PullError) -> Result<TagsAnswer, PullError> {
    let spec = route.repo.spec();
    let Some(reason) = stale_reason(&error, spec.tag_ttl, spec) else { return Err(error) };
    let mut tags = core.metadata.list_tags(&spec.key, &route.name).await.map_err(|e| PullError::storage(&e))?;
    if tags.is_empty() {
        return Err(error);
    }
    if let Some(last) = &query.last {
        tags.retain(|tag| tag.as_ref() > last.as_str());
    }
    let limit = query.n.map_or(limits::MAX_TAG_PAGE, |n| n as usize).min(limits::MAX_TAG_PAGE);
    let more = tags.len() > limit;
    tags.truncate(limit);
    let next = tags.last().filter(|_| more).map(ToString::to_string);
    Ok(TagsAnswer { tags, next, outcome: PullOutcome::Stale, stale: Some(reason) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_ignores_paging_is_cut_into_pages() {
        let all = || ["a", "b", "c"].map(|tag| tag.parse().unwrap()).to_vec();
        let page = |n, last: Option<&str>, next: Option<&str>| {
            let query = TagsQuery { n, last: last.map(str::to_owned) };
            let (tags, next) = as_asked(all(), next.map(str::to_owned), &query);
            (tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), next)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(page(None, None, None), ("a,b,c".to_owned(), None));
        assert_eq!(page(Some(1), None, None), ("a".to_owned(), some("a")));
        assert_eq!(page(Some(1), Some("a"), None), ("b".to_owned(), some("b")));
        assert_eq!(page(Some(1), Some("b"), None), ("c".to_owned(), None));
        assert_eq!(page(Some(2), Some("c"), None), (String::new(), None));
        assert_eq!(page(Some(3), Some("z"), Some("c")), ("a,b,c".to_owned(), some("c")), "upstream pages by itself");
    }
}
