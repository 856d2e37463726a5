//! Which token servers a challenge may send us to, and whether with the credential.
//!
//! A challenge is text from the network: whoever can answer for the upstream, or sits on its CDN, could name a realm of
//! their own and collect what we send there (CVE-2026-33540, CVE-2026-48978). So the realm is bound to the upstream:
//!
//! | realm | with a credential configured | without |
//! |---|---|---|
//! | the upstream's own scheme, host and port | used | used |
//! | listed in `token_hosts`, or a token host of the upstream's own profile | used | used |
//! | any other place over https | refused | asked anonymously, egress filter applied |
//! | the upstream's host at another port over http, upstream internal | refused | asked anonymously |
//! | any other place over http | refused | refused |
//!
//! Must not know requests. Invariants: an https upstream's realm is https; a refused realm gets no request at all, not
//! even an anonymous one, because a private image must not silently turn into a missing one.

use oci::RegistryHost;
use url::Url;

use crate::egress::Reach;
use crate::profiles;
use crate::redact;

/// Whether there is a credential that the realm would be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holding {
    Credential,
    Nothing,
}

/// A realm that may be asked for tokens of this upstream; with the credential, when there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Realm(Url);

/// What binds realms to one upstream.
#[derive(Clone, Debug)]
pub(crate) struct RealmRule {
    upstream: Url,
    token_hosts: Vec<RegistryHost>,
    reach: Reach,
}

impl Realm {
    /// The token server of a registry that a redirect led to. It is asked anonymously only, so it may stand where any
    /// realm of an upstream without a credential may.
    pub(crate) fn of_guest(realm: &str, registry: &Url, reach: Reach) -> Result<Self, String> {
        RealmRule::new(registry.clone(), Vec::new(), reach).admit(realm, Holding::Nothing)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl RealmRule {
    pub(crate) fn new(upstream: Url, token_hosts: Vec<RegistryHost>, reach: Reach) -> Self {
        Self { upstream, token_hosts, reach }
    }

    /// Reads and judges the `realm` of a challenge. The error says what is refused and how to allow it.
    pub(crate) fn admit(&self, realm: &str, holding: Holding) -> Result<Realm, String> {
        let mut realm = Url::parse(realm).map_err(|error| format!("the token realm is no URL: {error}"))?;
        realm.set_fragment(None);
        let shown = redact::url(&realm);
        if !matches!(realm.scheme(), "http" | "https") || realm.host_str().is_none_or(str::is_empty) {
            return Err(format!("the token realm {shown} is neither http nor https"));
        }
        if !realm.username().is_empty() || realm.password().is_some() {
            return Err(format!("the token realm {shown} carries a user name or password"));
        }
        if self.upstream.scheme() == "https" && realm.scheme() == "http" {
            return Err(format!("the token realm {shown} is plain http while the upstream is https"));
        }
        if self.is_bound(&realm) {
            return Ok(Realm(realm));
        }
        match holding {
            Holding::Credential => Err(format!(
                "the token realm {shown} is on another host than the upstream, so the credential is not sent there; \
                 if that is the upstream's token server, list its host in token_hosts"
            )),
            Holding::Nothing if self.is_harmless(&realm) => Ok(Realm(realm)),
            Holding::Nothing => Err(format!(
                "the token realm {shown} is plain http on another host; if that is the upstream's token server, list \
                 its host in token_hosts"
            )),
        }
    }

    /// Whether a refresh token may go to this realm. It is worth more than a password in transit, so it travels over
    /// https, unless the operator's own network is all the way there is.
    pub(crate) fn admit_identity(&self, realm: &Realm) -> Result<(), String> {
        let plain = realm.url().scheme() == "http";
        let internal = self.upstream.scheme() == "http" && self.reach == Reach::Internal;
        if plain && !internal {
            return Err(format!(
                "an identity or refresh token is not sent over plain http, as {} would have it; use https",
                redact::url(realm.url())
            ));
        }
        Ok(())
    }

    fn is_bound(&self, realm: &Url) -> bool {
        realm.origin() == self.upstream.origin() || self.is_listed(realm) || self.is_pinned(realm)
    }

    fn is_listed(&self, realm: &Url) -> bool {
        let default = if realm.scheme() == "https" { 443 } else { 80 };
        self.token_hosts.iter().any(|listed| {
            Some(listed.name()) == realm.host_str()
                && realm.port_or_known_default() == Some(listed.port().unwrap_or(default))
        })
    }

    /// By the upstream's host, never by a profile somebody chose for another host.
    fn is_pinned(&self, realm: &Url) -> bool {
        let standard = realm.scheme() == "https" && realm.port_or_known_default() == Some(443);
        standard && realm.host_str().is_some_and(|host| profiles::of_url(&self.upstream).token.hosts.contains(&host))
    }

    fn is_harmless(&self, realm: &Url) -> bool {
        realm.scheme() == "https" || (self.reach == Reach::Internal && realm.host() == self.upstream.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule together with what is held.
    struct Case(RealmRule, Holding);

    impl Case {
        fn admit(&self, realm: &str) -> Result<Realm, String> {
            self.0.admit(realm, self.1)
        }
    }

    fn rule(upstream: &str, listed: &[&str], reach: Reach, holding: Holding) -> Case {
        let listed = listed.iter().map(|host| host.parse().unwrap()).collect();
        Case(RealmRule::new(upstream.parse().unwrap(), listed, reach), holding)
    }

    #[test]
    fn refresh_tokens_travel_over_https_or_inside_the_house() {
        for (upstream, realm, reach, admitted) in [
            ("https://r.example", "https://r.example/token", Reach::PublicOnly, true),
            ("http://r.example", "http://r.example/token", Reach::PublicOnly, false),
            ("http://r.example", "http://r.example/token", Reach::Internal, true),
            ("http://r.example", "https://r.example:8443/token", Reach::PublicOnly, true),
        ] {
            let Case(rule, _) = rule(upstream, &["r.example:8443"], reach, Holding::Credential);
            let realm = rule.admit(realm, Holding::Credential).unwrap();
            assert_eq!(rule.admit_identity(&realm).is_ok(), admitted, "{upstream}");
        }
    }

    #[test]
    fn a_credential_goes_to_the_bound_realms_only() {
        let public = |upstream, listed: &[&str]| rule(upstream, listed, Reach::PublicOnly, Holding::Credential);
        let hub = public("https://registry-1.docker.io", &[]);
        hub.admit("https://auth.docker.io/token").unwrap();
        public("https://registry.gitlab.com", &[]).admit("https://gitlab.com/jwt/auth").unwrap();
        public("https://registry.suse.com", &[]).admit("https://scc.suse.com/api/registry/authorize").unwrap();
        public("https://ghcr.io", &[]).admit("https://ghcr.io/token").unwrap();
        public("https://ghcr.io", &[]).admit("https://ghcr.io:443/token").unwrap();
        public("https://r.example", &["sso.example"]).admit("https://sso.example/token").unwrap();
        public("https://r.example", &["sso.example:8443"]).admit("https://sso.example:8443/token").unwrap();

        for realm in [
            "https://auth.docker.io.evil.example/token",
            "https://evil.example/token",
            "https://docker.io/token",
            "https://auth.docker.io:8443/token",
            "http://auth.docker.io/token",
            "http://registry-1.docker.io/token",
            "https://registry-1.docker.io:8443/token",
            "https://127.0.0.1/token",
            "https://u:p@auth.docker.io/token",
            "https://sub.auth.docker.io/",
            "ftp://auth.docker.io/",
            "//auth.docker.io/token",
            "",
            "/token",
        ] {
            hub.admit(realm).expect_err(realm);
        }
        public("https://r.example", &["sso.example"]).admit("https://sso.example:8443/token").expect_err("other port");
        public("https://r.example", &["sso.example"]).admit("http://sso.example/token").expect_err("plain");
        public("https://docker.io.evil.example", &[])
            .admit("https://auth.docker.io/")
            .expect_err("pin is by exact host");
    }

    #[test]
    fn a_plain_upstream_with_its_token_server_at_another_port() {
        let upstream = "http://127.0.0.1:5001";
        let realm = "http://127.0.0.1:5002/token";
        let admit = |listed: &[&str], reach, holding| rule(upstream, listed, reach, holding).admit(realm);
        admit(&[], Reach::Internal, Holding::Credential).expect_err("not listed");
        admit(&["127.0.0.1:5002"], Reach::Internal, Holding::Credential).unwrap();
        admit(&["127.0.0.1:5003"], Reach::Internal, Holding::Credential).expect_err("another port is listed");
        admit(&["127.0.0.1"], Reach::Internal, Holding::Credential).expect_err("that means port 80");
        admit(&[], Reach::Internal, Holding::Nothing).unwrap();
        admit(&[], Reach::PublicOnly, Holding::Nothing).expect_err("plain http in public");
        rule(upstream, &[], Reach::Internal, Holding::Nothing)
            .admit("http://127.0.0.2:5002/")
            .expect_err("another host");
    }

    #[test]
    fn nothing_to_lose_may_ask_elsewhere_over_https() {
        let rule = rule("https://r.example", &[], Reach::PublicOnly, Holding::Nothing);
        rule.admit("https://elsewhere.example/token").unwrap();
        rule.admit("http://elsewhere.example/token").expect_err("downgrade");
    }
}
