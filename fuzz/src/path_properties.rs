//! Properties of the server's path parser. The including crate has the parser as `crate::path`.
//!
//! Invariant: the function panics only when a property does not hold.

use crate::path::{V2Path, parse};

/// Whatever path is accepted, its name is made of harmless segments, and the path said plainly reads as the same.
pub fn path(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let parsed = match parse(raw) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?} carries control characters");
            assert!(message.len() < 2000 && !error.code().as_str().is_empty());
            return;
        }
    };
    let plain = match &parsed {
        V2Path::Base => String::new(),
        V2Path::Catalog => "_catalog".to_owned(),
        V2Path::Manifest { name, reference } => format!("{}/manifests/{reference}", harmless(name)),
        V2Path::ManifestAt { name, tag, at } => format!("{}/manifests/{tag}@{at}", harmless(name)),
        V2Path::Blob { name, digest } => format!("{}/blobs/{digest}", harmless(name)),
        V2Path::Tags { name } => format!("{}/tags/list", harmless(name)),
        V2Path::Referrers { name, digest } => format!("{}/referrers/{digest}", harmless(name)),
        V2Path::Uploads { name } => format!("{}/blobs/uploads/", harmless(name)),
        V2Path::Upload { name, session } => format!("{}/blobs/uploads/{session}", harmless(name)),
    };
    assert_eq!(parse(&plain).as_ref(), Ok(&parsed), "{plain:?} is not {raw:?}");
}

fn harmless(name: &str) -> &str {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:[]".contains(&byte);
    assert!(name.bytes().all(legal), "{name:?}");
    assert!(name.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{name:?}");
    name
}
