//! Images that were made to do harm: nothing leaves the folder, and what is wrong is said.

use std::fs;

use serde_json::json;
use testkit::stargz::{Flavour, StargzWriter, TarEntry};

use crate::support::*;

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../escape", "a/../../escape", "/../escape", "a\0b", ""] {
        let layer = StargzWriter::new(Flavour::EStargz).build_with(&[TarEntry::file("victim", "x")], |toc| {
            let entries = toc["entries"].as_array_mut().unwrap();
            entries.iter_mut().find(|entry| entry["name"] == "victim").unwrap()["name"] = json!(name);
        });
        let (served, starget) = (Served::new(vec![layer]), Starget::new());
        let ran = starget.run(&["get", &served.image(), ".", "deep/out"]);
        assert_eq!(ran.code(), 1, "{name:?}: {}", ran.stderr());
        assert!(ran.stderr().contains("entry"), "{name:?}: {}", ran.stderr());
        assert!(!starget.path("escape").exists() && !starget.path("deep/escape").exists());
    }
}

#[test]
fn links_are_never_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let layer =
        estargz(&[TarEntry::symlink("pwn", target), TarEntry::symlink("up", "../.."), TarEntry::file("ok", "ok")]);
    // The upper layer turns the links into directories: a writer that made links first would write through them.
    let upper =
        estargz(&[TarEntry::directory("pwn/"), TarEntry::file("pwn/file", "x"), TarEntry::file("up/file", "x")]);
    let (served, starget) = (Served::new(vec![layer, upper]), Starget::new());
    starget.run(&["get", &served.image(), ".", "out"]).ok();
    assert!(starget.path("out/pwn/file").is_file() && starget.path("out/up/file").is_file());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    // What stands in the folder may be a trap too.
    fs::remove_dir_all(starget.path("out")).unwrap();
    fs::create_dir(starget.path("out")).unwrap();
    std::os::unix::fs::symlink(target, starget.path("out/pwn")).unwrap();
    fs::write(outside.path().join("kept"), "kept").unwrap();
    std::os::unix::fs::symlink(outside.path().join("kept"), starget.path("out/ok")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("kept"), starget.path("out/ok.partial")).unwrap();
    let ran = starget.run(&["get", &served.image(), ".", "out"]);
    assert_eq!(ran.code(), 6, "{}", ran.stderr());
    assert!(ran.stderr().contains("pwn/file") && ran.stderr().contains("no directory"), "{}", ran.stderr());
    assert_eq!(fs::read_to_string(outside.path().join("kept")).unwrap(), "kept");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(starget.path("out/ok")).unwrap(), "ok");
}

#[test]
fn hard_links_stay_inside_of_the_image() {
    let layer = estargz(&[
        TarEntry::hardlink("stolen", "etc/shadow"),
        TarEntry::hardlink("loop", "loop"),
        TarEntry::file("ok", "ok"),
    ]);
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    let ran = starget.run(&["get", &served.image(), ".", "out"]);
    assert_eq!(ran.code(), 6, "{}", ran.stderr());
    assert!(ran.stderr().contains("stolen") && ran.stderr().contains("loop"), "{}", ran.stderr());
    assert!(!starget.path("out/stolen").exists() && starget.path("out/ok").is_file());
}

#[test]
fn names_do_not_steer_the_terminal_in_errors() {
    let layer = estargz(&[TarEntry::hardlink("a\u{1b}[2J", "nowhere")]);
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    let ran = starget.run(&["get", &served.image(), ".", "out"]);
    assert!(!ran.stderr().contains('\u{1b}'), "{:?}", ran.stderr());
}

#[test]
fn names_that_end_in_partial_do_not_collide() {
    let layer = estargz(&[
        TarEntry::file("a", noise(1, 200_000)),
        TarEntry::file("a.partial", noise(2, 200_000)),
        TarEntry::file("a.partial.partial", "x"),
        TarEntry::file(&"n".repeat(100), "long"),
    ]);
    let (served, starget) = (Served::new(vec![layer]), Starget::new());
    starget.run(&["get", &served.image(), ".", "out"]).ok();
    assert_eq!(fs::read(starget.path("out/a")).unwrap(), noise(1, 200_000));
    assert_eq!(fs::read(starget.path("out/a.partial")).unwrap(), noise(2, 200_000));
    assert_eq!(fs::read_dir(starget.path("out")).unwrap().count(), 4);
}
