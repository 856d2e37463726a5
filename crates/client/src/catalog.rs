//! The names a registry has, a page at a time.
//!
//! Must not know how many pages the caller wants. Invariants: a page is bounded in bytes; of a `Link` only its `last`
//! parameter is used; a list that does not get on is an error.

use http::Method;
use oci::RepositoryName;
use oci::limits::MAX_TAGS_BODY;
use serde::Deserialize;

use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::json_object;
use crate::registry_client::{RegistryClient, call};
use crate::transport::Attempt;

/// One page of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPage {
    /// In the registry's order.
    pub names: Vec<RepositoryName>,
    /// `last` for the next page; `None` when this was the last one.
    pub next_last: Option<String>,
}

#[derive(Deserialize)]
struct CatalogBody {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

impl RegistryClient {
    /// A page of the registry's catalogue: the names after `last`.
    pub async fn catalog(&self, last: Option<&str>) -> Result<CatalogPage, ClientError> {
        let mut url = self.endpoint().root();
        url.set_path(&format!("{}_catalog", url.path().to_owned()));
        if let Some(last) = last {
            url.query_pairs_mut().append_pair("last", last);
        }
        let call = &call(Method::GET, url, ExchangeKind::Catalog, Some("registry:catalog:*".to_owned()));
        self.retry().run(|attempt| self.catalog_page(call, last, attempt)).await
    }

    async fn catalog_page(
        &self,
        call: &crate::handshake::Call,
        last: Option<&str>,
        attempt: Attempt,
    ) -> Result<CatalogPage, ClientError> {
        let answer = self.ask(call, attempt).await?;
        let next = match answer.next_page(&call.url, "a catalogue") {
            Ok(next) => next,
            Err(error) => return Err(answer.reject(error)),
        };
        let body = read_document(answer, "a catalogue", MAX_TAGS_BODY).await?;
        let listed: CatalogBody = json_object::parse(&body)
            .map_err(|why| self.protocol(format!("a catalogue that cannot be read: {why}")))?;
        let listed = listed.repositories.unwrap_or_default();
        let next_last = next.and_then(|url| {
            let said = url.query_pairs().find(|(name, _)| name == "last").map(|(_, value)| value.into_owned());
            said.or_else(|| listed.last().cloned())
        });
        if next_last.is_some() && next_last.as_deref() == last {
            return Err(self.protocol("a catalogue whose next page is the same again"));
        }
        Ok(CatalogPage { names: listed.iter().filter_map(|name| name.parse().ok()).collect(), next_last })
    }
}
