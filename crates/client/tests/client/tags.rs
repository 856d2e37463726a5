//! Tag lists: pages that end, links that are not followed blindly.

use client::{ClientError, TagPage};
use serde_json::json;

use crate::support::*;

async fn list(reply: Reply, last: Option<&str>) -> Result<TagPage, ClientError> {
    let server = Server::start(move |_| reply.clone()).await;
    anonymous(&server).list_tags(&name(), Some(2), last).await
}

fn page(link: &str) -> Reply {
    let body = json!({"name": "library/alpine", "tags": ["a", "b"]}).to_string();
    Reply::new(200, &[("content-type", "application/json"), ("link", link)], body)
}

fn texts(page: &TagPage) -> Vec<&str> {
    page.tags.iter().map(oci::Tag::as_str).collect()
}

#[tokio::test]
async fn paging_parameters_go_up_and_the_next_page_comes_down() {
    let server = Server::start(|_| page("</v2/library/alpine/tags/list?n=2&last=b%2Bc>; rel=\"next\"")).await;
    let client = anonymous(&server);
    let first = client.list_tags(&name(), Some(2), Some("0 &x")).await.unwrap();
    assert_eq!(texts(&first), ["a", "b"]);
    assert_eq!(first.next_last.as_deref(), Some("b+c"));
    client.list_tags(&name(), None, None).await.unwrap();
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/v2/library/alpine/tags/list?n=2&last=0+%26x", "/v2/library/alpine/tags/list"]);
}

#[tokio::test]
async fn a_link_to_another_host_is_read_but_not_visited() {
    let stranger = Server::start(|_| Reply::json(&json!({"tags": ["evil"]}))).await;
    let link = format!("<{}>; rel=next", stranger.at("/v2/x/tags/list?last=b"));
    let listed = list(page(&link), None).await.unwrap();
    assert_eq!(listed.next_last.as_deref(), Some("b"));
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn links_without_a_last_continue_after_the_last_tag() {
    let listed = list(page("</v2/library/alpine/tags/list?n=2&next_page=opaque>; rel=\"next\""), None).await.unwrap();
    assert_eq!(listed.next_last.as_deref(), Some("b"));
    let listed = list(page("</v2/library/alpine/tags/list?last=b>; rel=\"prev\""), None).await.unwrap();
    assert_eq!(listed.next_last, None);
}

#[tokio::test]
async fn a_list_that_does_not_get_on_is_an_error() {
    for link in ["<?last=b>; rel=\"next\"", "<?next_page=x>; rel=\"next\""] {
        let error = list(page(link), Some("b")).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn odd_lists() {
    assert_eq!(
        list(Reply::json(&json!({"name": "x", "tags": null})), None).await.unwrap(),
        TagPage { tags: vec![], next_last: None }
    );
    assert_eq!(texts(&list(Reply::json(&json!({"tags": ["ok", "../no", "", "-no"]})), None).await.unwrap()), ["ok"]);
    for reply in [
        Reply::json(&json!([])),
        Reply::json(&json!({"tags": "a"})),
        Reply::new(200, &[("content-type", "text/html")], "<html>"),
        page("<unclosed; rel=next"),
    ] {
        let error = list(reply, None).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    }
    let huge = vec![b' '; oci::limits::MAX_TAGS_BODY + 1];
    let error = list(Reply::chunked(200, &[], &huge), None).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
}
