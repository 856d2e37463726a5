//! What clients call us, for the one absolute address we give out: that of the token service.
//!
//! Must not know routes. Invariant: an address that the operator gave is used as it is; without one the client is told the
//! host it has used itself, which is nobody's but its own.

use http::HeaderValue;

/// Where clients reach us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address the operator gave, without a `/` at its end.
    pub url: Option<String>,
    /// Whether our own listeners speak TLS.
    pub tls: bool,
}

impl PublicAddress {
    /// The challenge of a 401 (distribution's token specification). `name` is what the client wants to push to.
    pub(crate) fn challenge(&self, host: Option<&str>, name: Option<&str>) -> HeaderValue {
        let scheme = if self.tls { "https" } else { "http" };
        let own = || format!("{scheme}://{}", host.filter(|host| !host.is_empty()).unwrap_or("localhost"));
        let base = self.url.clone().unwrap_or_else(own);
        let service = base.split_once("://").map_or(&*base, |(_, rest)| rest);
        let scope = name.map(|name| format!(",scope=\"repository:{name}:pull,push\"")).unwrap_or_default();
        // Hosts and names have no quotes.
        HeaderValue::try_from(format!("Bearer realm=\"{base}/token\",service=\"{service}\"{scope}"))
            .unwrap_or(HeaderValue::from_static("Basic realm=\"transship\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_leads_to_the_token_service_of_the_host_that_was_asked() {
        let plain = PublicAddress { url: None, tls: false };
        assert_eq!(
            plain.challenge(Some("localhost:5000"), Some("r/app")),
            "Bearer realm=\"http://localhost:5000/token\",service=\"localhost:5000\",scope=\"repository:r/app:pull,push\""
        );
        let tls = PublicAddress { url: None, tls: true };
        assert_eq!(
            tls.challenge(Some("r.example"), None),
            "Bearer realm=\"https://r.example/token\",service=\"r.example\""
        );
        let named = PublicAddress { url: Some("https://hub.example/x".into()), tls: false };
        assert_eq!(
            named.challenge(Some("evil.example"), None),
            "Bearer realm=\"https://hub.example/x/token\",service=\"hub.example/x\""
        );
    }
}
