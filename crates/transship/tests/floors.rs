//! Holds the house to its floors (ARCHITECTURE.md, "Floors"): which crate may depend on which, what a crate must never
//! know, and that every source file says what it is.
//!
//! Reads `cargo metadata`, so a new edge fails here before anyone gets used to it. Dependencies of tests are free.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Each crate with the crates of this workspace that it may depend on.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("transship-oci", &[]),
    ("transship-config-document", &[]),
    ("transship-blob-store", &["transship-oci"]),
    ("transship-metadata", &["transship-oci"]),
    ("transship-client", &["transship-oci"]),
    ("transship-estargz", &["transship-oci"]),
    ("transship-image-archive", &["transship-oci"]),
    ("transship-mock-upstream", &["transship-oci"]),
    ("transship-registry", &["transship-oci", "transship-blob-store", "transship-metadata", "transship-client"]),
    ("transship-server", &["transship-oci", "transship-registry"]),
    (
        "transship",
        &[
            "transship-oci",
            "transship-config-document",
            "transship-blob-store",
            "transship-metadata",
            "transship-client",
            "transship-image-archive",
            "transship-mock-upstream",
            "transship-registry",
            "transship-server",
        ],
    ),
    ("starget", &["transship-oci", "transship-config-document", "transship-estargz", "transship-client"]),
    // Only for tests: it stands in nobody's list.
    ("transship-testkit", &["transship-oci", "transship-mock-upstream"]),
];

/// Each crate with the libraries that would show it knows what it must not.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    ("transship-oci", &["tokio", "hyper", "axum", "http", "sqlx", "reqwest"]),
    ("transship-config-document", &["tokio", "hyper", "axum", "http", "sqlx", "reqwest", "clap"]),
    ("transship-blob-store", &["hyper", "axum", "http", "sqlx", "reqwest"]),
    ("transship-metadata", &["hyper", "axum", "http", "reqwest"]),
    ("transship-client", &["axum", "sqlx", "clap"]),
    ("transship-estargz", &["tokio", "futures-util", "hyper", "axum", "http", "reqwest", "sqlx", "clap"]),
    ("transship-image-archive", &["tokio", "futures-util", "hyper", "axum", "http", "reqwest", "sqlx", "clap"]),
    ("transship-mock-upstream", &["axum", "hyper", "reqwest", "sqlx", "clap"]),
    ("transship-registry", &["axum", "hyper", "clap", "sqlx", "reqwest"]),
    ("transship-server", &["sqlx", "reqwest", "clap"]),
    ("starget", &["axum", "hyper", "sqlx", "reqwest"]),
];

/// More than this in one file is two files.
const MOST_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn cargo_metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each package with what it depends on outside of tests (build scripts count).
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let listed = package["dependencies"].as_array().unwrap().iter();
            (name(package), listed.filter(|dependency| dependency["kind"] != "dev").map(name).collect())
        })
        .collect()
}

fn lookup<'t>(table: &'t [(&str, &'t [&'t str])], package: &str) -> Option<&'t [&'t str]> {
    table.iter().find(|(name, _)| *name == package).map(|(_, list)| *list)
}

/// Every break of the two tables, in words.
fn violations(house: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (package, dependencies) in house {
        let Some(allowed) = lookup(MAY_DEPEND_ON, package) else {
            found.push(format!("{package} has no floor: give it a row in MAY_DEPEND_ON and in ARCHITECTURE.md"));
            continue;
        };
        let forbidden = lookup(MUST_NOT_USE, package).unwrap_or_default();
        for dependency in dependencies {
            if house.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
                found.push(format!("{package} must not depend on {dependency}: arrows only point downward"));
            }
            if forbidden.contains(&dependency.as_str()) {
                found.push(format!("{package} must not use {dependency}: another floor does that"));
            }
        }
    }
    found
}

#[test]
fn arrows_only_point_downward() {
    let house = dependencies(&cargo_metadata());
    assert_eq!(violations(&house), Vec::<String>::new());
    for (package, _) in MAY_DEPEND_ON.iter().chain(MUST_NOT_USE) {
        assert!(house.contains_key(*package), "the table names {package}, which is not in the workspace");
    }
}

#[test]
fn a_broken_house_is_noticed() {
    let package = |name: &str, dependencies: Value| json!({"name": name, "dependencies": dependencies});
    let metadata = json!({"packages": [
        package("transship-oci", json!([{"name": "tokio", "kind": null}, {"name": "sqlx", "kind": "dev"}])),
        package("transship-client", json!([{"name": "transship-metadata", "kind": "build"}])),
        package("transship-metadata", json!([{"name": "transship-oci", "kind": null}, {"name": "sqlx", "kind": null}])),
        package("transship-attic", json!([])),
    ]});
    let found = violations(&dependencies(&metadata));
    let expected = [
        "transship-attic has no floor",
        "transship-client must not depend on transship-metadata",
        "transship-oci must not use tokio",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_and_is_small() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        rust_files(&entry.unwrap().path().join("src"), &mut files);
    }
    assert!(files.len() > 100, "only {} files found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not start with a `//!` header", file.display());
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines, at most {MOST_LINES}: split it", file.display());
    }
}
