//! Words as bash has them: quoted by whoever typed them, and broken at characters that are none of a word's ends.
//!
//! zsh and fish unquote and quote by themselves. Must not know what the words are. Invariant: what is offered, put where
//! bash puts it, reads as the candidate.

/// Characters at which bash breaks words by default, and which stand in images and paths.
const BREAKS: [char; 3] = [':', '=', '@'];
/// What needs no quotes.
const PLAIN: &str = "_./:=@%+,~^-";

/// The word without its quotes; one that is still open counts as closed.
pub(super) fn unquoted(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut quote = None;
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None) => text.extend(letters.next()),
            ('\\', Some('"')) => match letters.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => text.push(escaped),
                other => {
                    text.push('\\');
                    text.extend(other);
                }
            },
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, _) => text.push(letter),
        }
    }
    text
}

/// What bash takes for a candidate: the part behind the last break of the word, quoted where nothing is quoted yet.
pub(super) fn for_bash(raw: &str, candidate: &str) -> String {
    if raw.starts_with(['\'', '"']) {
        return candidate.to_owned();
    }
    let breaks = std::env::var("STARGET_COMPLETE_BREAKS").ok();
    let breaks_at = |letter: char| BREAKS.contains(&letter) && breaks.as_ref().is_none_or(|all| all.contains(letter));
    let head = raw.rfind(breaks_at).map_or("", |at| &raw[..=at]);
    let rest = candidate.strip_prefix(unquoted(head).as_str()).unwrap_or(candidate);
    let quoted = |letter: char| {
        let plain = letter.is_alphanumeric() || PLAIN.contains(letter);
        (!plain).then_some('\\').into_iter().chain(std::iter::once(letter))
    };
    rest.chars().flat_map(quoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_read_as_bash_does() {
        for (word, text) in [
            ("usr/bin", "usr/bin"),
            (r"a\ b", "a b"),
            ("'a b", "a b"),
            ("\"a \\\"b\\x", "a \"b\\x"),
            ("'it'\\''s'", "it's"),
            ("a\\", "a"),
        ] {
            assert_eq!(unquoted(word), text, "{word}");
        }
    }

    #[test]
    fn candidates_go_on_behind_the_last_break() {
        assert_eq!(for_bash("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1.2"), "1.2");
        assert_eq!(for_bash("app:", "app:1.2"), "1.2");
        assert_eq!(for_bash("usr/b", "usr/bin/"), "usr/bin/");
        assert_eq!(for_bash("us", "usr/a b$c"), r"usr/a\ b\$c");
        assert_eq!(for_bash("'us", "usr/a b"), "usr/a b");
        assert_eq!(for_bash("--mirror-form=p", "--mirror-form=path"), "path");
    }
}
