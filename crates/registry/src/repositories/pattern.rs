//! Patterns for tags and for names: `*` stands for any run of characters, `?` for one.
//!
//! Must not know repositories. Invariant: matching is linear in pattern times text; no backtracking blow-up.

/// A pattern over tags, as in `immutable_tags: ["v*"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern(String);

impl TagPattern {
    /// Takes a pattern as written.
    ///
    /// # Errors
    /// Says why when the pattern is empty, too long or holds a character no tag can have.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 128 {
            return Err("a tag pattern has 1 to 128 characters".into());
        }
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-*?".contains(*c))) {
            Some(bad) => Err(format!("'{bad}' cannot be in a tag; use letters, digits, '.', '_', '-', '*' and '?'")),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Whether `tag` fits the pattern from its first to its last character.
    pub fn matches(&self, tag: &str) -> bool {
        fits(self.0.as_bytes(), tag.as_bytes())
    }
}

impl std::fmt::Display for TagPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern over names of images, as in `pin: { "team/*": releases }`; `*` goes over `/` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Takes a pattern as written.
    ///
    /// # Errors
    /// Says why when the pattern is empty, too long or holds a character no name can have.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 255 {
            return Err("a name pattern has 1 to 255 characters".into());
        }
        match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*?".contains(*c))) {
            Some(bad) => Err(format!(
                "'{bad}' cannot be in a name; use lower-case letters, digits, '.', '_', '-', '/', '*' and '?'"
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Whether `name` fits the pattern from its first to its last character.
    pub fn matches(&self, name: &str) -> bool {
        fits(self.0.as_bytes(), name.as_bytes())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How much it says: of two patterns that match, the one that says more counts.
    pub(crate) fn precision(&self) -> (bool, usize) {
        let literal = self.0.bytes().filter(|byte| !matches!(byte, b'*' | b'?')).count();
        (literal == self.0.len(), literal)
    }
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) && pattern[p] != b'*' {
            p += 1;
            t += 1;
        } else if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_and_question_mark_cover_runs_and_single_characters() {
        for (pattern, tag, expected) in [
            ("v*", "v1.2", true),
            ("v*", "1.2", false),
            ("*", "", true),
            ("v?.?", "v1.2", true),
            ("v?.?", "v1.22", false),
            ("*-rc*", "1.0-rc1", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("latest", "latest", true),
            ("latest", "latest2", false),
        ] {
            assert_eq!(TagPattern::parse(pattern).unwrap().matches(tag), expected, "{pattern} on {tag}");
        }
    }

    #[test]
    fn characters_that_no_tag_has_are_refused() {
        assert!(TagPattern::parse("").is_err());
        assert!(TagPattern::parse("a/b").is_err());
    }

    #[test]
    fn names_are_matched_over_their_slashes_and_the_more_precise_pattern_is_known() {
        let pattern = |text: &str| NamePattern::parse(text).unwrap();
        assert!(pattern("team/*").matches("team/app/web") && !pattern("team/*").matches("team"));
        assert!(pattern("team/app").precision() > pattern("team/*/app").precision());
        assert!(pattern("team/app/*").precision() > pattern("team/*").precision());
        for bad in ["", "Team/*", "a:b", "a b"] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
