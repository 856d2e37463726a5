//! Documents that name tests name tests that exist.
//!
//! Must not know: what the tests show. Invariant: a test that is renamed or removed is missed here.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All functions of our crates, and all modules by their file's name.
fn known(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            known(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines().filter_map(|line| line.trim_start().split_once("fn ")) {
                let name = line.1.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
                found.insert(name.to_owned());
            }
        }
    }
}

/// The words in backquotes of the last column of every row.
fn tests_named(document: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let last = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next().map(str::to_owned));
    last.flat_map(|column| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_cases_of_hostile_upstreams_name_tests_that_exist() {
    let mut found = BTreeSet::new();
    known(&root().join("crates"), &mut found);
    let document = fs::read_to_string(root().join("docs/hostile-upstreams.md")).unwrap();
    let named = tests_named(&document);
    assert!(named.len() > 80, "{} tests are named", named.len());
    for name in named.iter().filter(|name| !name.contains('/')) {
        let path = name.rsplit(' ').next().unwrap().trim_end_matches("::*").trim_end_matches("::tests");
        let last = path.rsplit("::").next().unwrap();
        let exists = match last.strip_suffix('*') {
            Some(start) => found.iter().any(|known| known.starts_with(start)),
            None => found.contains(last),
        };
        assert!(exists, "there is no test or module {name}");
    }
}
