//! Reads small JSON answers whose outermost value must be an object.
//!
//! Must not know what they are. Invariant: an array is never taken for an object, which serde would do for structs
//! (`["x"]` would be a token).

use serde::Deserialize;

/// Reads the object; the error is a reason in words that quotes nothing of it.
pub(crate) fn parse<'d, T: Deserialize<'d>>(document: &'d [u8]) -> Result<T, String> {
    if !starts_as_object(document) {
        return Err("it is not a JSON object".to_owned());
    }
    serde_json::from_slice(document).map_err(|error| {
        format!("bad JSON or a field of the wrong type at line {}, column {}", error.line(), error.column())
    })
}

/// Whether the document can be an object at all.
pub(crate) fn starts_as_object(document: &[u8]) -> bool {
    document.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[derive(Debug, serde::Deserialize)]
    struct Named {
        name: Option<String>,
    }

    #[test]
    fn objects_only_and_no_quotes_in_errors() {
        assert_eq!(parse::<Named>(b" {\"name\":\"x\"}").unwrap().name.as_deref(), Some("x"));
        for document in
            ["[]", "[\"canary\"]", "\"canary\"", "", "{\"name\":\"canary", "{\"name\":[\"canary\"]}", "<html>"]
        {
            let error = parse::<Named>(document.as_bytes()).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
