//! `Cache-Control` as a shared cache reads it (RFC 9111 section 5.2.2).
//!
//! Must not know which answer it stands on. Invariant: what is not understood is left out, as the RFC asks.

/// Who may be given an answer that a shared cache keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sharing {
    /// `no-store`, `private`: nobody, nothing is kept.
    Nobody,
    /// Whoever asks as the first did; not after a request with `Authorization` (RFC 9111 section 3.5).
    #[default]
    Unsaid,
    /// Everybody, also after a request with `Authorization`.
    Everybody,
}

/// The directives that decide whether and how long a shared cache keeps an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheControl {
    sharing: Sharing,
    /// Kept, but confirmed before each use.
    no_cache: bool,
    /// Never confirmed as long as it is fresh (RFC 8246).
    pub(super) immutable: bool,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
}

impl CacheControl {
    pub(super) fn parse(value: &str) -> Self {
        let mut read = Self::default();
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = || argument.trim().trim_matches('"').parse().ok();
            match name.trim().to_ascii_lowercase().as_str() {
                "private" | "no-store" => read.sharing = Sharing::Nobody,
                "public" | "must-revalidate" => read.open(),
                "no-cache" => read.no_cache = true,
                "immutable" => read.immutable = true,
                "max-age" => read.max_age = seconds(),
                "s-maxage" => {
                    read.open();
                    read.s_maxage = seconds();
                }
                _ => {}
            }
        }
        read
    }

    /// A refusal counts more than a permission.
    fn open(&mut self) {
        if self.sharing == Sharing::Unsaid {
            self.sharing = Sharing::Everybody;
        }
    }

    /// For how many seconds a shared cache may answer without asking; none when nothing is said or nothing is kept.
    pub(super) fn shared_seconds(&self) -> Option<u64> {
        match (self.forbids(), self.no_cache) {
            (true, _) => None,
            (false, true) => Some(0),
            (false, false) => self.s_maxage.or(self.max_age),
        }
    }

    /// Whether shared caches must keep nothing.
    pub(super) fn forbids(&self) -> bool {
        self.sharing == Sharing::Nobody
    }

    /// Whether shared caches may keep the answer to a request with `Authorization` (RFC 9111 section 3.5).
    pub(super) fn shares_authorized(&self) -> bool {
        self.sharing == Sharing::Everybody
    }
}

#[cfg(test)]
mod tests {
    use super::CacheControl;

    #[test]
    fn directives_are_read_as_a_shared_cache_reads_them() {
        for (value, seconds) in [
            ("public, max-age=31536000, immutable", Some(31_536_000)),
            ("max-age=60, s-maxage=\"600\"", Some(600)),
            ("MAX-AGE=5", Some(5)),
            ("no-cache", Some(0)),
            ("no-store, max-age=60", None),
            ("private, max-age=60", None),
            ("max-age=soon", None),
            ("", None),
        ] {
            assert_eq!(CacheControl::parse(value).shared_seconds(), seconds, "{value}");
        }
        assert!(CacheControl::parse("public").shares_authorized());
        assert!(CacheControl::parse("s-maxage=1").shares_authorized());
        assert!(!CacheControl::parse("max-age=60").shares_authorized());
        assert!(!CacheControl::parse("public, no-store").shares_authorized());
    }
}
