//! Tag lists, a page at a time.
//!
//! Must not know how many pages the caller wants. Invariants: a page is bounded in bytes; of a `Link` only its
//! `last` parameter is used, its host never; a list that does not get on is an error, not an endless loop.

use http::Method;
use oci::limits::MAX_TAGS_BODY;
use oci::{RepositoryName, Tag};
use serde::Deserialize;
use url::Url;

use crate::answer::Answer;
use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::json_object;
use crate::registry_client::{RegistryClient, call};
use crate::transport::Attempt;

/// One page of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// In the upstream's order. Names that are no tags by the spec's grammar cannot be pulled and are left out.
    pub tags: Vec<Tag>,
    /// `last` for the next page; `None` when this was the last one.
    pub next_last: Option<String>,
}

#[derive(Deserialize)]
struct TagsBody {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl RegistryClient {
    /// A page of a repository's tags: at most `n`, or fewer where the upstream's profile knows a limit; those after `last`.
    pub async fn list_tags(
        &self,
        name: &RepositoryName,
        n: Option<u32>,
        last: Option<&str>,
    ) -> Result<TagPage, ClientError> {
        let rule = self.profile().tags;
        let n = n.map(|n| rule.max_page.map_or(n, |most| n.min(most)));
        let mut url = self.endpoint().content(name, "tags/list");
        if n.is_some() || last.is_some() {
            let mut query = url.query_pairs_mut();
            if let Some(n) = n {
                query.append_pair("n", &n.to_string());
            }
            if let Some(last) = last {
                query.append_pair("last", last);
            }
        }
        let call = &call(Method::GET, url, ExchangeKind::Tags, Some(self.endpoint().scope(name, rule.action)));
        self.retry().run(|attempt| self.fetch_tags(call, last, attempt)).await
    }

    async fn fetch_tags(&self, call: &Call, last: Option<&str>, attempt: Attempt) -> Result<TagPage, ClientError> {
        let answer = self.ask(call, attempt).await?;
        let next = match next_page(&answer, &call.url) {
            Ok(next) => next,
            Err(error) => return Err(answer.reject(error)),
        };
        let body = read_document(answer, "a tag list", MAX_TAGS_BODY).await?;
        let listed: TagsBody =
            json_object::parse(&body).map_err(|why| self.protocol(format!("a tag list that cannot be read: {why}")))?;
        let listed = listed.tags.unwrap_or_default();
        let next_last = match next {
            Next::None => None,
            Next::After(last) => Some(last),
            // Quay pages by a parameter of its own, but takes `last` as well.
            Next::Unsaid => listed.last().cloned(),
        };
        if next_last.is_some() && next_last.as_deref() == last {
            return Err(self.protocol("a tag list whose next page is the same again"));
        }
        Ok(TagPage { tags: listed.iter().filter_map(|tag| tag.parse().ok()).collect(), next_last })
    }
}

/// What the `Link` header says of a next page.
enum Next {
    None,
    After(String),
    Unsaid,
}

fn next_page(answer: &Answer, asked: &Url) -> Result<Next, ClientError> {
    let Some(target) = answer.next_page(asked, "a tag list")? else { return Ok(Next::None) };
    let last = target.query_pairs().find(|(name, _)| name == "last").map(|(_, value)| value.into_owned());
    Ok(last.filter(|last| !last.is_empty()).map_or(Next::Unsaid, Next::After))
}
