//! What our text newtypes share: shared storage, formatting, serde through `FromStr`, and how a refused
//! value is quoted in an error.
//!
//! Must not know any grammar. Invariant: the only way into such a type is its `FromStr`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};

/// Quotes refused input for an error message: escaped, so that it cannot forge log lines, and short.
pub(crate) fn excerpt(value: &str) -> String {
    const SHOWN: usize = 80;
    cut(value, SHOWN, value.chars().take(SHOWN).flat_map(char::escape_debug).collect())
}

/// Shortens another library's message, which may quote refused input at any length.
pub(crate) fn shorten(message: &str) -> String {
    const SHOWN: usize = 200;
    let escape = |character: char| {
        let quote = matches!(character, '"' | '\'');
        quote.then_some(character).into_iter().chain((!quote).then(|| character.escape_debug()).into_iter().flatten())
    };
    cut(message, SHOWN, message.chars().take(SHOWN).flat_map(escape).collect())
}

fn cut(whole: &str, shown_characters: usize, mut shown: String) -> String {
    if whole.chars().nth(shown_characters).is_some() {
        shown.push('…');
    }
    shown
}

/// Deserialises a string through the type's own parser.
pub(crate) fn deserialize_from_str<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    deserializer.deserialize_str(FromStrVisitor(PhantomData))
}

struct FromStrVisitor<T>(PhantomData<T>);

impl<T> Visitor<'_> for FromStrVisitor<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(E::custom)
    }
}

/// Serde through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::newtype::deserialize_from_str(deserializer)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Everything but the grammar of a type that wraps an `Arc<str>`.
macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The text as it stands in paths and documents.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, formatter)
            }
        }

        crate::newtype::serde_as_text!($name);
    };
}
pub(crate) use text_newtype;

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn excerpts_are_escaped_and_short() {
        assert_eq!(excerpt("plain"), "plain");
        assert_eq!(excerpt("a\r\nb\u{1b}[31m"), "a\\r\\nb\\u{1b}[31m");
        let long = excerpt(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), 81);
        assert!(long.ends_with('…'));
    }
}
