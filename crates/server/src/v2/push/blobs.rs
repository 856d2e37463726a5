//! `DELETE /v2/<name>/blobs/<digest>`.
//!
//! Must not know where blobs are. Invariant: a 202 means that it is gone.

use http::{Response, StatusCode};
use oci::Digest;
use registry::Action;

use super::{PushRequest, bare};
use crate::body::ReplyBody;
use crate::middleware::log_request::RequestRecord;
use crate::respond::Failure;

pub(crate) async fn delete(
    request: &PushRequest<'_>,
    name: &str,
    digest: &Digest,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let (route, pusher) = request.admit(name, &Action::Blob(*digest), record).await?;
    request.app.registry.delete_blob(&route, pusher, digest).await?;
    Ok(bare(StatusCode::ACCEPTED))
}
