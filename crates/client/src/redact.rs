//! What of a URL or message may be written down.
//!
//! Must not know loggers. Invariant: nothing that can be a credential survives: userinfo never, and of a query only the
//! values of parameters known to be harmless (signed URLs carry their signature there).

use url::Url;

/// Query parameters whose values are no secrets: paging, namespace, token scope.
const SHOWN_PARAMS: [&str; 5] = ["ns", "n", "last", "service", "scope"];

/// Longest URL written down, in characters.
const SHOWN_URL: usize = 1024;

/// Longest message of an upstream that is kept, in characters.
const SHOWN_MESSAGE: usize = 512;

/// The URL without userinfo and fragment, and with the values of unknown query parameters replaced by `…`.
pub(crate) fn url(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut text = format!("{}://{host}{port}{}", url.scheme(), url.path());
    for (position, pair) in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).enumerate() {
        text.push(if position == 0 { '?' } else { '&' });
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if SHOWN_PARAMS.contains(&name) {
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        } else if pair.contains('=') {
            text.push_str(name);
            text.push_str("=…");
        } else {
            // A bare word may itself be the secret.
            text.push('…');
        }
    }
    cut(&text, SHOWN_URL)
}

/// An upstream's words made fit for logs and errors: one line, short, without the given secrets.
pub(crate) fn message<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>) -> String {
    let mut text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    cut(text.trim(), SHOWN_MESSAGE)
}

fn cut(text: &str, shown: usize) -> String {
    text.char_indices().nth(shown).map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::{message, url};

    #[test]
    fn urls_lose_userinfo_fragments_and_unknown_values() {
        let redacted = |text: &str| url(&text.parse().unwrap());
        assert_eq!(
            redacted("https://user:canary@ghcr.io:8443/v2/a/b?n=10&last=x&X-Amz-Signature=canary&canary#canary"),
            "https://ghcr.io:8443/v2/a/b?n=10&last=x&X-Amz-Signature=…&…"
        );
        assert_eq!(
            redacted("https://auth.docker.io/token?service=registry.docker.io&scope=repository:a:pull&account=me"),
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository:a:pull&account=…"
        );
        assert!(redacted(&format!("https://h.example/{}", "a".repeat(9000))).chars().count() <= 1025);
    }

    #[test]
    fn messages_are_one_short_line_without_secrets() {
        assert_eq!(message("no\r\nlevel=info \u{1b}[31m canary!", ["canary", ""]), "no  level=info  [31m [redacted]!");
        assert_eq!(message(&"é".repeat(2000), []).chars().count(), 513);
    }
}
