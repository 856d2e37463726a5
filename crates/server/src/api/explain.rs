//! `GET /api/explain?image=…[&ns=…]`: what a pull of an image would do now, and why.
//!
//! Must not know how that is found out. Invariants: nobody upstream is asked; a parameter that matters stands once.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};
use oci::{ErrorCode, RegistryHost};
use registry::{ImageAddress, InvalidImageAddress};

use super::repos::Answer;
use crate::respond::Failure;
use crate::state::App;

/// The query as it came, in its order.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Explains an image.
pub(crate) async fn explain(State(app): State<Arc<App>>, headers: HeaderMap, pairs: Pairs) -> Answer {
    let Query(pairs) = pairs.map_err(|rejection| bad(rejection.body_text()))?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let address = wanted(&pairs)?.at_server(host);
    Ok(Json(app.registry.explain(&address).await?).into_response())
}

fn wanted(pairs: &[(String, String)]) -> Result<ImageAddress, Failure> {
    if let Some((unknown, _)) = pairs.iter().find(|(name, _)| name != "image" && name != "ns") {
        return Err(bad(format!("{unknown}: unknown parameter; there are image and ns")));
    }
    let image =
        super::once(pairs, "image")?.ok_or_else(|| bad("image: say which, as in ?image=alpine:3".to_owned()))?;
    let ns = super::once(pairs, "ns")?.map(str::parse).transpose();
    let ns: Option<RegistryHost> = ns.map_err(|error: oci::InvalidRegistryHost| bad(format!("ns: {error}")))?;
    let image: ImageAddress = image.parse().map_err(|error: InvalidImageAddress| bad(format!("image: {error}")))?;
    Ok(image.with_namespace(ns))
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_and_everything_else_refused() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            wanted(&pairs).map(drop).map_err(|failure| failure.message())
        };
        assert_eq!(read(&[("image", "alpine")]), Ok(()));
        assert_eq!(read(&[("ns", "ghcr.io"), ("image", "org/app:1")]), Ok(()));
        for (pairs, word) in [
            (&[][..], "image: say which"),
            (&[("image", "a:")], "image: 'a:'"),
            (&[("image", "a"), ("image", "b")], "image: stands more than once"),
            (&[("image", "a"), ("ns", "-")], "ns: "),
            (&[("image", "a"), ("tag", "1")], "tag: unknown"),
        ] {
            let message = read(pairs).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
