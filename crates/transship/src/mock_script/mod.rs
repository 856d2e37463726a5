//! The script of `transship mock-upstream`: which images, who gets in, what goes wrong with which requests.
//!
//! Must not know sockets. Invariant: all problems of a script are reported at once, each with its line, path and a hint.

mod faults;
mod reader;

use std::path::{Path, PathBuf};

use mock_upstream::registries::{ALL, Recipe};
use mock_upstream::upstream::{Fault, Target};

use crate::config::Size;
use crate::config::document::parse_yaml;
use crate::config::problem::{Problem, Problems};
use reader::Reader;

/// A commented script.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

/// What to serve.
#[derive(Debug)]
pub(crate) struct MockScript {
    pub(crate) images: Vec<ImageSource>,
    pub(crate) access: MockAccess,
    pub(crate) rules: Vec<(Target, Vec<Fault>)>,
}

/// Where an image comes from.
#[derive(Debug)]
pub(crate) struct ImageSource {
    pub(crate) repository: String,
    pub(crate) content: Content,
}

/// What an image is made of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Everything in an OCI layout.
    Layout(PathBuf),
    /// Made up: a tag, and about this many bytes in one layer.
    Sample { tag: String, size: Size },
}

/// Who gets in.
#[derive(Debug)]
pub(crate) enum MockAccess {
    Open,
    Basic { username: String, password: String },
    Bearer { username: String, password: String },
    Registry(&'static Recipe),
}

impl Default for MockScript {
    fn default() -> Self {
        let content = Content::Sample { tag: "latest".to_owned(), size: Size(1024 * 1024) };
        let images = vec![ImageSource { repository: "library/sample".to_owned(), content }];
        Self { images, access: MockAccess::Open, rules: Vec::new() }
    }
}

impl MockScript {
    /// Reads a script.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        let sorted = |problems| Problems::new(Some(file.to_owned()), problems);
        let node = parse_yaml(text).map_err(|problem| sorted(vec![problem]))?;
        let document = node.to_json();
        let mut problems = Vec::new();
        let script = Self::read(&mut Reader::new(&document, "", &mut problems));
        if problems.is_empty() {
            return Ok(script);
        }
        let placed = problems
            .into_iter()
            .map(|(path, message, hint)| Problem::new(node.origin_of(&path), path, message).with_hint(hint));
        Err(sorted(placed.collect()))
    }

    fn read(read: &mut Reader<'_>) -> Self {
        read.only(&["images", "access", "rules"]);
        let images = read.each("images", image).into_iter().flatten().collect::<Vec<_>>();
        let access = access(read);
        let rules = read.each("rules", |rule| {
            rule.only(&["match", "faults"]);
            let target = rule.section("match", faults::target);
            let faults = rule.each("faults", faults::fault).into_iter().flatten().collect::<Vec<_>>();
            if rule.get("faults").as_array().is_none_or(Vec::is_empty) {
                rule.problem("faults", "name at least one fault, as in faults: [{latency: 2s}]");
            }
            (target.unwrap_or_else(Target::any), faults)
        });
        Self { images: if images.is_empty() { Self::default().images } else { images }, access, rules }
    }
}

fn image(read: &mut Reader<'_>) -> Option<ImageSource> {
    read.only(&["repository", "layout", "tag", "size"]);
    let repository = read.text("repository");
    if repository.as_ref().is_none_or(|name| name.parse::<oci::RepositoryName>().is_err()) {
        read.problem("repository", "required: a repository name, like library/sample");
    }
    let size = read.parsed("size", Size::parse).unwrap_or(Size(1024 * 1024));
    if size.0 > 1 << 30 {
        read.problem("size", "samples are kept in memory; at most 1GiB");
    }
    let content = match read.text("layout") {
        Some(folder) => Content::Layout(folder.into()),
        None => Content::Sample { tag: read.text("tag").unwrap_or_else(|| "latest".to_owned()), size },
    };
    Some(ImageSource { repository: repository?, content })
}

fn access(read: &mut Reader<'_>) -> MockAccess {
    match read.text_of("access").as_deref() {
        None => {}
        Some("open") => return MockAccess::Open,
        Some(key) => {
            let known = ALL.iter().map(|recipe| recipe.key);
            match ALL.iter().find(|recipe| recipe.key == key) {
                Some(recipe) => return MockAccess::Registry(recipe),
                None => read.strange("access", key, std::iter::once("open").chain(known)),
            }
            return MockAccess::Open;
        }
    }
    let mut access = MockAccess::Open;
    read.section("access", |read| {
        read.only(&["basic", "bearer"]);
        for scheme in ["basic", "bearer"] {
            read.section(scheme, |read| {
                read.only(&["username", "password"]);
                let (Some(username), Some(password)) = (read.text("username"), read.text("password")) else {
                    return read.problem("username", "both username and password are needed");
                };
                access = if scheme == "basic" {
                    MockAccess::Basic { username, password }
                } else {
                    MockAccess::Bearer { username, password }
                };
            });
        }
    });
    access
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_script() {
        let script = MockScript::parse(EXAMPLE, Path::new("example.yaml")).unwrap();
        assert!(script.rules.len() >= 8, "{} rules", script.rules.len());
        assert!(script.rules.iter().all(|(_, faults)| !faults.is_empty()));
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_line_path_and_hint() {
        let text = "access: ghrc\nrules:\n  - match: {kind: blobb}\n    faults: [{latencyy: 2s}]\n  - faults: [{cut: {at: 7}}]\nimages:\n  - layout: x\n";
        let problems = MockScript::parse(text, Path::new("script.yaml")).unwrap_err().to_string();
        for expected in [
            "line 1: access",
            "did you mean 'ghcr'?",
            "line 3: rules[0].match.kind",
            "line 4: rules[0].faults[0].latencyy",
            "line 5: rules[1].faults[0].cut.at",
            "images[0].repository",
        ] {
            assert!(problems.contains(expected), "{expected} in {problems}");
        }
    }
}
