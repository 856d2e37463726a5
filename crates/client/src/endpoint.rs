//! Where an upstream's API stands: turns repository names into URLs.
//!
//! Must not know requests. Invariant: every URL made here has the configured scheme, host and port.

use std::sync::Arc;

use oci::RepositoryName;
use url::Url;

/// The API of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: Url,
    /// The path of the API root, `/v2` or `/<path>/v2`.
    api_path: String,
    /// What is put before every name, with its slash; often empty.
    name_prefix: String,
    label: Arc<str>,
}

impl Endpoint {
    /// Reads the configured URL. The error says what is wrong with it.
    pub(crate) fn new(url: &Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme is {}; http and https are supported", url.scheme()));
        }
        let label = authority(url).ok_or("the URL has no host")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user name or password; give the credential apart from it".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the URL has a query or fragment".to_owned());
        }
        let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let (root, prefix) = match segments.iter().position(|segment| *segment == "v2") {
            Some(at) => (&segments[..at], &segments[at + 1..]),
            // As docker addresses a repository behind a shared host: `host/<prefix>/<name>`.
            None => (&[][..], &segments[..]),
        };
        let api_path = root.iter().chain(&["v2"]).flat_map(|segment| ["/", *segment]).collect();
        let name_prefix = prefix.iter().flat_map(|segment| [*segment, "/"]).collect();
        Ok(Self { url: url.clone(), api_path, name_prefix, label: label.into() })
    }

    /// The upstream's `host[:port]`, for people.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The configured URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// `/v2/`.
    pub(crate) fn root(&self) -> Url {
        self.with_path(&format!("{}/", self.api_path))
    }

    /// `/v2/<name>/<tail>`.
    pub(crate) fn content(&self, name: &RepositoryName, tail: &str) -> Url {
        self.with_path(&format!("{}/{}{name}/{tail}", self.api_path, self.name_prefix))
    }

    /// The scope that reading the repository needs, for challenges that name none.
    pub(crate) fn pull_scope(&self, name: &RepositoryName) -> String {
        self.scope(name, "pull")
    }

    /// The scope for another action on the repository.
    pub(crate) fn scope(&self, name: &RepositoryName, action: &str) -> String {
        format!("repository:{}{name}:{action}", self.name_prefix)
    }

    /// What stands before every name, with its slash; often empty.
    pub(crate) fn name_prefix(&self) -> &str {
        &self.name_prefix
    }

    fn with_path(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }
}

/// `host[:port]` as it stands in the URL; the scheme's own port is left out.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn names_go_below_the_api_root() {
        let cases = [
            ("https://ghcr.io", "https://ghcr.io/v2/", "https://ghcr.io/v2/a/b/tags/list", "repository:a/b:pull"),
            (
                "http://127.0.0.1:5001/",
                "http://127.0.0.1:5001/v2/",
                "http://127.0.0.1:5001/v2/a/b/tags/list",
                "repository:a/b:pull",
            ),
            (
                "https://h.example/reg/",
                "https://h.example/v2/",
                "https://h.example/v2/reg/a/b/tags/list",
                "repository:reg/a/b:pull",
            ),
            (
                "https://h.example/v2/hub",
                "https://h.example/v2/",
                "https://h.example/v2/hub/a/b/tags/list",
                "repository:hub/a/b:pull",
            ),
            (
                "https://h.example/x/v2/",
                "https://h.example/x/v2/",
                "https://h.example/x/v2/a/b/tags/list",
                "repository:a/b:pull",
            ),
        ];
        for (url, root, tags, scope) in cases {
            let endpoint = Endpoint::new(&url.parse().unwrap()).unwrap();
            let name = "a/b".parse().unwrap();
            assert_eq!(endpoint.root().as_str(), root, "{url}");
            assert_eq!(endpoint.content(&name, "tags/list").as_str(), tags, "{url}");
            assert_eq!(endpoint.pull_scope(&name), scope, "{url}");
        }
    }

    #[test]
    fn urls_that_cannot_be_an_upstream_are_refused() {
        for url in [
            "ftp://h.example",
            "https://user:pw@h.example",
            "https://user@h.example",
            "https://h.example/?a=b",
            "https://h.example/#f",
        ] {
            Endpoint::new(&url.parse().unwrap()).expect_err(url);
        }
    }
}
