//! The head of an upstream's answer, with its body still to come.
//!
//! Must not know which call it answers. Invariant: dropping an answer reports its exchange.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::header::LINK;
use http::{HeaderMap, HeaderName, StatusCode};
use oci::Link;
use url::Url;

use crate::error::ClientError;
use crate::exchange::ExchangeRecord;
use crate::registry_client::is_page;

/// Who gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnsweredBy {
    /// The origin that was asked (scheme, host and port), and nobody else was on the way.
    Asked,
    /// A host that a redirect led to. It has no say on what the upstream has or whom it lets in.
    Elsewhere,
}

/// A redirect that was followed.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Where it led.
    pub(crate) to: Url,
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) upstream: Arc<str>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) by: AnsweredBy,
    /// The redirects on the way, in their order.
    pub(crate) passed: Vec<Passed>,
    /// The longest wait for a piece of the body.
    pub(crate) idle: Duration,
    pub(crate) response: reqwest::Response,
    pub(crate) record: ExchangeRecord,
}

impl Answer {
    /// A header that may stand once; `None` when it is absent.
    pub(crate) fn single(&self, name: &HeaderName) -> Result<Option<&str>, ClientError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(self.protocol(format!("two different {name} headers")));
        }
        first.to_str().map(Some).map_err(|_| self.protocol(format!("a {name} header that is not text")))
    }

    /// A header that may stand once, as the type it holds.
    pub(crate) fn parsed<T>(&self, name: &HeaderName) -> Result<Option<T>, ClientError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.single(name)? else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|error| self.protocol(format!("a bad {name} header: {error}")))
    }

    /// Where the `Link` header says that a list goes on (RFC 8288). It is upstream's word and may name any place.
    pub(crate) fn next_page(&self, asked: &Url, list: &str) -> Result<Option<Url>, ClientError> {
        if is_page(self) {
            return Err(self.protocol(format!("an HTML page instead of {list}")));
        }
        for value in self.headers.get_all(LINK) {
            let text = value.to_str().map_err(|_| self.protocol("a Link header that is not text"))?;
            let links = Link::parse_all(text).map_err(|error| self.protocol(error.to_string()))?;
            let Some(next) = links.iter().find(|link| link.is_next()) else { continue };
            let target = asked.join(next.target());
            return target.map(Some).map_err(|error| self.protocol(format!("a bad Link header: {error}")));
        }
        Ok(None)
    }

    pub(crate) fn protocol(&self, what: impl Into<String>) -> ClientError {
        ClientError::Protocol { upstream: self.upstream.clone(), what: what.into() }
    }

    /// Ends an answer that is worth nothing to us, with the reason in its report.
    pub(crate) fn reject(mut self, error: ClientError) -> ClientError {
        self.record.fail(error.to_string());
        error
    }
}
