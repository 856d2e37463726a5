//! Paths as layers write them, and the one form in which this crate keeps them.
//!
//! Must not know file systems. Invariant: a normalised path is relative, has no empty, `.` or `..` component and no NUL,
//! so joined to a directory it stays below it, lexically.

use std::cmp::Ordering;

use crate::fault::EntryFault;
use crate::limits::{MAX_COMPONENT, MAX_DEPTH, MAX_PATH};

/// Appends the normalised form of `name` to `into`: `./usr//bin/` becomes `usr/bin`, and `/` becomes nothing.
///
/// A backslash is a character like others: systemd's unit names have them.
pub(crate) fn normalise(name: &str, into: &mut String) -> Result<(), EntryFault> {
    if name.is_empty() {
        return Err(EntryFault::NameEmpty);
    }
    if name.len() > MAX_PATH {
        return Err(EntryFault::NameTooLong);
    }
    if name.contains('\0') {
        return Err(EntryFault::Nul);
    }
    let start = into.len();
    let mut depth = 0;
    for component in name.split('/').filter(|component| !matches!(*component, "" | ".")) {
        depth += 1;
        let fault = if component == ".." {
            Some(EntryFault::NameEscapes)
        } else if component.len() > MAX_COMPONENT {
            Some(EntryFault::ComponentTooLong)
        } else {
            (depth > MAX_DEPTH).then_some(EntryFault::NameTooDeep)
        };
        if let Some(fault) = fault {
            into.truncate(start);
            return Err(fault);
        }
        if into.len() > start {
            into.push('/');
        }
        into.push_str(component);
    }
    Ok(())
}

/// The order of a walk: by components, so that what lies in a directory follows it without anything between.
pub(crate) fn compare_paths(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    // The separator sorts before every other byte: `a/b` before `a.b`.
    let rank = |byte: Option<&u8>| byte.map(|byte| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 });
    rank(left.get(same)).cmp(&rank(right.get(same)))
}

/// Whether `path` lies in the directory `directory`, at any depth.
pub(crate) fn is_below(path: &str, directory: &str) -> bool {
    if directory.is_empty() {
        return !path.is_empty();
    }
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(name: &str) -> Result<String, EntryFault> {
        let mut path = String::new();
        normalise(name, &mut path).map(|()| path)
    }

    #[test]
    fn paths_have_one_form() {
        for (name, path) in [("usr/bin/", "usr/bin"), ("./x", "x"), ("/x//y/./z", "x/y/z"), ("/", ""), ("./", "")] {
            assert_eq!(normal(name).as_deref(), Ok(path), "{name}");
        }
        assert_eq!(normal("a\\x2db").as_deref(), Ok("a\\x2db"));
    }

    #[test]
    fn paths_that_lead_out_or_on_forever_are_refused() {
        for name in ["../x", "..", "a/../../x", "a/..", "/../x"] {
            assert_eq!(normal(name), Err(EntryFault::NameEscapes), "{name}");
        }
        assert_eq!(normal(""), Err(EntryFault::NameEmpty));
        assert_eq!(normal("a\0b"), Err(EntryFault::Nul));
        assert_eq!(normal(&"a/".repeat(2049)), Err(EntryFault::NameTooLong));
        assert_eq!(normal(&"a/".repeat(257)), Err(EntryFault::NameTooDeep));
        assert_eq!(normal(&"a".repeat(256)), Err(EntryFault::ComponentTooLong));
    }

    #[test]
    fn the_order_keeps_directories_together() {
        let mut paths = ["a.b", "a/b", "a", "", "a-", "b", "a/b/c", "a/b.c", "ab"];
        paths.sort_by(|left, right| compare_paths(left, right));
        assert_eq!(paths, ["", "a", "a/b", "a/b/c", "a/b.c", "a-", "a.b", "ab", "b"]);
    }

    #[test]
    fn below_means_inside() {
        assert!(is_below("a/b", "a") && is_below("a", "") && !is_below("ab", "a") && !is_below("a", "a"));
        assert!(!is_below("", ""));
    }
}
