//! What the program keeps, and how it is listed and removed; help, manual pages and the documentation.

use std::fs;

use serde_json::Value;
use testkit::stargz::TarEntry;
use testkit::upstream::{Cut, Fault, Kind, Target};

use crate::support::*;

fn served() -> Served {
    Served::new(vec![estargz(&[TarEntry::file("a", "a\n"), TarEntry::file("b", noise(1, 300 << 10))])])
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_cache_is_listed_and_removed() {
    let (served, starget) = (served(), Starget::new());
    starget.run(&["cat", &served.image(), "a"]).ok();
    let kept = lines(&starget.run(&["cache", "ls", "--json"]).ok());
    let kinds: Vec<&str> = kept.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert!(kinds.contains(&"manifest") && kinds.contains(&"toc"), "{kept:?}");
    assert!(kept.iter().all(|one| one["digest"].as_str().unwrap().starts_with("sha256:")), "{kept:?}");
    assert!(starget.run(&["cache", "ls"]).ok().stderr().contains("2 files"));
    assert_eq!(starget.run(&["cache", "path"]).ok().stdout().trim(), starget.path("cache").display().to_string());
    assert_eq!(lines(&starget.run(&["cache", "clean", "--older-than", "1d", "--json"]).ok())[0]["removed"], 0);
    assert_eq!(lines(&starget.run(&["cache", "clean", "--json"]).ok())[0]["removed"], 2);
    assert!(starget.run(&["cache", "ls"]).ok().stdout().is_empty());
    assert_eq!(listing(&starget.path("cache")).len(), 2, "the two folders: what completion remembered is gone too");
    served.upstream.clear_log();
    starget.run(&["cat", &served.image(), "a"]).ok();
    assert!(!served.requests(Kind::Manifest).is_empty(), "it is fetched again");
    starget.run(&["cache", "ls", "--no-cache"]).fails(2, &["--no-cache"]);
}

#[test]
fn broken_off_downloads_are_listed_and_forgotten() {
    let (served, starget) = (served(), Starget::new());
    assert!(starget.run(&["state", "ls"]).ok().stderr().contains("no download"));
    starget.run(&["ls", &served.image()]).ok();
    // All of `b` never comes.
    served.upstream.fault(Target::kind(Kind::Blob), Fault::CutAfter(150_000, Cut::Reset));
    starget.run(&["get", "--max-retries", "0", &served.image(), ".", "out"]).fails(6, &["b: "]);
    let left = lines(&starget.run(&["state", "ls", "--json"]).ok());
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0]["pattern"].as_str(), left[0]["files"].as_u64()), (Some("."), Some(2)), "{left:?}");
    assert_eq!(left[0]["image"].as_str().unwrap(), served.image());
    fs::remove_dir_all(starget.path("out")).unwrap();
    assert!(starget.run(&["state", "ls"]).ok().stdout().starts_with("orphaned"));
    assert!(starget.run(&["state", "clean"]).ok().stdout().starts_with("1 removed"));
    assert!(starget.run(&["state", "ls"]).ok().stdout().is_empty());
    assert!(fs::read_dir(starget.state()).unwrap().next().is_none());
}

#[test]
fn what_is_typed_wrong_is_json_when_json_was_asked_for() {
    let starget = Starget::new();
    let error = starget.run(&["ls", "--json"]).fails(2, &[]).error();
    assert_eq!((error["code"].as_str(), error["exit"].as_u64()), (Some("usage"), Some(2)), "{error}");
    let error = starget.run(&["info", "--json", "--max-retries", "0", "127.0.0.1:1/a"]).fails(8, &[]).error();
    assert_eq!(error["code"], "network", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("port"), "{error}");
}

#[test]
fn help_and_documentation_say_the_same_exit_codes() {
    let starget = Starget::new();
    let help = starget.run(&["--help"]).ok().stdout();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/starget.md");
    let page = fs::read_to_string(page).unwrap();
    let codes: Vec<(&str, &str)> = help
        .lines()
        .skip_while(|line| !line.starts_with("Exit codes:"))
        .filter_map(|line| line.trim().split_once("  "))
        .collect();
    assert_eq!(codes.len(), 9, "{help}");
    for (code, meaning) in codes {
        assert!(
            page.contains(&format!("| {code} | {} |", meaning.trim())),
            "{code} {meaning} is not in docs/starget.md"
        );
    }
}

#[test]
fn every_command_has_help_with_an_example_and_a_page() {
    let starget = Starget::new();
    starget.run(&["man", "pages"]).ok();
    for command in ["info", "ls", "get", "cat", "stat", "verify"] {
        let help = starget.run(&[command, "--help"]).ok().stdout();
        assert!(help.contains(&format!("\n  starget {command} ")), "{command} has no example: {help}");
        let page = fs::read_to_string(starget.path("pages").join(format!("starget-{command}.1"))).unwrap();
        assert!(page.contains("Examples"), "{page}");
    }
}
