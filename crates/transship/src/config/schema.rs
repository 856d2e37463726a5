//! The JSON Schema of the configuration file, for editors. Made from the table of fields.
//!
//! Must not know anything the table does not say. Invariant: unknown fields are refused at every level, as by the
//! checker.

use serde_json::{Map, Value, json};

use super::fields::FIELDS;

/// The schema.
pub(crate) fn schema() -> Value {
    let mut root = object("Transship's configuration file.");
    for field in FIELDS {
        let mut leaf = if field.path == "repos" { repositories() } else { field.kind.schema() };
        leaf["description"] = format!("{} Default: {}.", field.meaning, field.default).into();
        place(&mut root, field.path, leaf);
    }
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "transship.yaml".into();
    root
}

fn object(description: &str) -> Value {
    json!({ "type": ["object", "null"], "description": description, "properties": {}, "additionalProperties": false })
}

/// Puts `leaf` at the dotted `path` below `root`, making the sections on the way.
fn place(root: &mut Value, path: &str, leaf: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let properties = root["properties"].as_object_mut().expect("every object of the schema has properties");
    match rest {
        None => {
            properties.insert(first.to_owned(), leaf);
        }
        Some(rest) => place(properties.entry(first).or_insert_with(|| object("")), rest, leaf),
    }
}

fn repositories() -> Value {
    let mut repository = object("One repository.");
    for field in registry::FIELDS {
        let mut leaf = of_kind(field.kind);
        leaf.insert("description".into(), field.meaning.into());
        place(&mut repository, field.path, Value::Object(leaf));
    }
    // Also several of them, or the word `passthrough`.
    let auth = &mut repository["properties"]["auth"];
    let entry = auth.clone();
    auth["type"] = json!(["object", "array", "string", "null"]);
    auth["items"] = entry;
    let of_kind = |kind: &str, field: &str| json!({ "properties": { "kind": { "const": kind } }, "required": if field.is_empty() { json!(["kind"]) } else { json!(["kind", field]) } });
    repository["anyOf"] = json!([
        { "required": ["upstream"] },
        { "required": ["upstreams"] },
        of_kind("hosted", ""),
        of_kind("group", "members"),
    ]);
    json!({ "type": ["object", "null"], "additionalProperties": repository })
}

/// The registry's words for kinds, as schema.
fn of_kind(kind: &str) -> Map<String, Value> {
    let value = match kind {
        "boolean" => json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": r"\$\{" }] }),
        "list of upstreams" => {
            let one = json!({ "anyOf": [{ "type": "string" }, upstream()] });
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        "number" => json!({ "type": ["integer", "string"] }),
        "size" => json!({ "type": ["string", "integer"] }),
        "object of lists" => {
            let patterns =
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
            json!({ "type": "object", "additionalProperties": patterns })
        }
        "object of strings" => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        "map of objects" => json!({ "type": ["object", "null"], "additionalProperties": { "type": "object" } }),
        "list of objects" => json!({ "type": "array", "items": { "type": "object" } }),
        list if list.starts_with("list") => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        _ => json!({ "type": "string" }),
    };
    value.as_object().cloned().unwrap_or_default()
}

/// One entry of `upstreams`: the fields that belong to one upstream, with its `url`.
fn upstream() -> Value {
    let mut upstream = object("One upstream.");
    let own = ["auth.", "token_hosts", "internal", "library_prefix", "network."];
    for field in registry::FIELDS.iter().filter(|field| own.iter().any(|name| field.path.starts_with(name))) {
        place(&mut upstream, field.path, Value::Object(of_kind(field.kind)));
    }
    place(&mut upstream, "auth.password_file", json!({ "type": "string" }));
    place(&mut upstream, "url", json!({ "type": "string" }));
    upstream["required"] = json!(["url"]);
    upstream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_schema_and_every_object_is_closed() {
        let schema = schema();
        for field in FIELDS {
            let pointer = format!("/properties/{}", field.path.replace('.', "/properties/"));
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
            assert!(found["description"].as_str().unwrap().starts_with(field.meaning));
        }
        for field in registry::FIELDS {
            let pointer = format!(
                "/properties/repos/additionalProperties/properties/{}",
                field.path.replace('.', "/properties/")
            );
            assert!(schema.pointer(&pointer).is_some(), "{pointer}");
        }
        assert_closed(&schema);
    }

    fn assert_closed(schema: &Value) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema["additionalProperties"], json!(false), "{schema}");
            properties.values().for_each(assert_closed);
        }
        schema.get("additionalProperties").into_iter().for_each(assert_closed);
    }
}
