//! `GET|HEAD /v2/_catalog`: the names that were pushed to. A legacy extension of docker's registry.
//!
//! Must not know where names are kept. Invariant: caches are not in it: what was pulled is not what an upstream has.

use http::Response;
use serde::Serialize;

use super::{V2Request, json_list, unsupported};
use crate::body::ReplyBody;
use crate::respond::Failure;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

pub(crate) async fn answer(request: &V2Request<'_>) -> Result<Response<ReplyBody>, Failure> {
    let (n, last) = (request.query.n, request.query.last.as_deref());
    let place = request.route_query("");
    let page = Box::pin(request.registry.catalog(&place, n, last)).await?.ok_or_else(unsupported::catalog)?;
    let names = Catalog { repositories: page.names };
    Ok(json_list::respond(request, &names, page.next.as_deref()))
}
