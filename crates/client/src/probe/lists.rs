//! Tags in pages, and the referrers API.
//!
//! Must not know manifests. Invariants: of a `Link` only its query is used, its host never; a referrers answer that
//! leads to another host is not followed.

use http::Method;
use http::header::{LINK, LOCATION};
use oci::limits::MAX_TAGS_BODY;
use oci::{Digest, Link, MediaType, RepositoryName};
use serde::Deserialize;
use url::Url;

use super::report::{CheckId, Findings};
use super::seen::{Seen, text};
use super::session::Session;
use crate::endpoint::authority;
use crate::json_object;

#[derive(Deserialize)]
struct TagsBody {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexBody {
    schema_version: Option<u64>,
    manifests: Option<Vec<serde_json::Value>>,
}

/// One page, as read.
struct Page {
    tags: Vec<String>,
    /// The query of the next page.
    next: Option<String>,
    /// Another host that the link names.
    stranger: Option<String>,
}

async fn page(session: &Session, name: &RepositoryName, query: &str) -> Result<(Seen, Page), String> {
    let question = session.content(Method::GET, name, &format!("tags/list{query}"), MAX_TAGS_BODY);
    let answer = session.ask(&question).await.map_err(|error| text(&error.to_string()))?;
    if answer.status != 200 {
        return Err(answer.brief());
    }
    let body: TagsBody = json_object::parse(&answer.body.bytes).map_err(|why| format!("{}; {why}", answer.brief()))?;
    let asked = question.call().url.clone();
    let next = answer.headers.get_all(LINK).iter().find_map(|value| {
        let links = Link::parse_all(value.to_str().ok()?).ok()?;
        let target = links.iter().find(|link| link.is_next())?.target().to_owned();
        asked.join(&target).ok()
    });
    let stranger = next.as_ref().filter(|next| next.origin() != asked.origin()).and_then(authority);
    let page = Page {
        tags: body.tags.unwrap_or_default(),
        next: next.as_ref().and_then(Url::query).map(str::to_owned),
        stranger,
    };
    Ok((answer, page))
}

/// The tag a pull without one would mean: `latest`, else the last of the list.
pub(super) async fn choose_tag(session: &Session, name: &RepositoryName) -> Result<String, String> {
    let (_, page) = page(session, name, "").await?;
    if page.tags.iter().any(|tag| tag == "latest") {
        return Ok("latest".to_owned());
    }
    page.tags.last().cloned().ok_or_else(|| "the repository has no tags".to_owned())
}

/// Checks that tags come one at a time when asked so, and that the next page follows.
pub(super) async fn check_tags(session: &Session, name: &RepositoryName, findings: &mut Findings) {
    let id = CheckId::TagsPaging;
    let (answer, first) = match page(session, name, "?n=1").await {
        Ok(read) => read,
        Err(why) => return findings.degraded(id, why, "tags cannot be listed; pulls work without"),
    };
    let seen = format!(
        "n=1: {}, {} tags, {}",
        answer.brief(),
        first.tags.len(),
        if first.next.is_some() { "Link" } else { "no Link" }
    );
    if first.tags.len() > 1 {
        return findings.degraded(id, seen, "the size of pages is not ours to choose: long lists come at once");
    }
    let Some(query) = first.next else {
        return findings.pass(id, seen, "the list ends with its first page");
    };
    match page(session, name, &format!("?{query}")).await {
        Err(why) => findings.fail(id, format!("{seen}; next page {why}"), "lists end after the first page"),
        Ok((_, second)) if second.tags == first.tags && !first.tags.is_empty() => {
            findings.fail(id, format!("{seen}; next page is the same"), "lists do not get on, and are cut off");
        }
        Ok(_) if first.stranger.is_some() => findings.degraded(
            id,
            format!("{seen}; the Link names {}", first.stranger.unwrap_or_default()),
            "the Link leads to another host: its host is ignored here, other clients follow it",
        ),
        Ok((_, second)) => {
            let seen = format!("{seen}; next page {} tags", second.tags.len());
            findings.pass(id, seen, "long lists come in pieces");
        }
    }
}

/// Checks for the referrers API.
pub(super) async fn check_referrers(
    session: &Session,
    name: &RepositoryName,
    digest: &Digest,
    findings: &mut Findings,
) {
    let id = CheckId::Referrers;
    let question = session.content(Method::GET, name, &format!("referrers/{digest}"), MAX_TAGS_BODY);
    let answer = match session.ask_here(&question).await {
        Ok(answer) => answer,
        Err(error) => {
            return findings.degraded(id, text(&error.to_string()), "signatures are looked for by the fallback tag");
        }
    };
    let kind = answer.content_type().unwrap_or_default();
    let seen = format!("{}, {}", answer.brief(), if kind.is_empty() { "no type" } else { &kind });
    let fallback = "signatures and attestations are looked for by the fallback tag";
    match answer.status {
        200 => match json_object::parse::<IndexBody>(&answer.body.bytes) {
            Ok(IndexBody { schema_version: Some(2), manifests: Some(list) })
                if kind == MediaType::OCI_IMAGE_INDEX.as_str() =>
            {
                findings.pass(
                    id,
                    format!("{seen}, {} found", list.len()),
                    "native: signatures and attestations are found by digest",
                );
            }
            Ok(_) => findings.degraded(id, seen, "an answer that is no index: the fallback tag is used"),
            Err(why) => {
                findings.degraded(id, format!("{seen}; {why}"), "an answer that is no index: the fallback tag is used");
            }
        },
        301..=308 => {
            let place = answer.shown(&LOCATION).and_then(|place| question.call().url.join(&place).ok());
            let host = place.as_ref().and_then(authority).unwrap_or_default();
            findings.degraded(id, format!("{seen}, leads to {host}"), format!("not followed; {fallback}"));
        }
        404 => findings.degraded(id, seen, format!("not there; {fallback}")),
        _ => findings.degraded(id, seen, format!("unusual for a missing API; {fallback}")),
    }
}
