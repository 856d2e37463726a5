//! `get`: what is on disk afterwards.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use testkit::stargz::TarEntry;

use crate::support::*;

fn tree() -> Served {
    Served::new(vec![estargz(&[
        TarEntry::directory("a/").mode(0o750).modified(1_700_000_001),
        TarEntry::file("a/file", "content\n").mode(0o4711).modified(1_700_000_002),
        TarEntry::hardlink("a/same", "a/file"),
        TarEntry::symlink("a/link", "/etc/passwd"),
        TarEntry::file("a/empty", "").mode(0o600),
        TarEntry::file("a/big", noise(3, 300_000)).modified(1_700_000_003),
        TarEntry::fifo("a/pipe"),
        TarEntry::char_device("a/null"),
        TarEntry::directory("a/sticky/").mode(0o1777),
        TarEntry::file("b", "b"),
    ])])
}

#[test]
fn a_directory_keeps_its_paths_modes_times_and_links() {
    let (served, starget) = (tree(), Starget::new());
    let ran = starget.run(&["get", &served.image(), "a/", "out"]).ok();
    assert_eq!(ran.stdout(), "Successfully downloaded 6/6 files (300008 bytes total)\n");
    assert!(ran.stderr().contains("1 device was left out; --devices makes it"), "{}", ran.stderr());
    assert_eq!(
        listing(&starget.path("out")),
        [
            "a dir 750 1700000001",
            "a/big file 300000 644 1700000003",
            "a/empty file 0 600 1700000000",
            "a/file file 8 711 1700000002",
            "a/link link /etc/passwd 777 1700000000",
            "a/pipe fifo 600 1700000000",
            "a/same file 8 711 1700000002",
            "a/sticky dir 1777 1700000000",
        ]
    );
    let inode = |name: &str| fs::metadata(starget.path(name)).unwrap().ino();
    assert_eq!(inode("out/a/file"), inode("out/a/same"));
    assert_eq!(fs::read(starget.path("out/a/big")).unwrap(), noise(3, 300_000));
    assert_eq!(fs::read_dir(starget.state()).unwrap().count(), 0, "nothing is left to be done");
}

#[test]
fn set_id_bits_are_kept_only_when_asked_for() {
    let (served, starget) = (tree(), Starget::new());
    starget.run(&["get", "--set-id", &served.image(), "a/file", "out"]).ok();
    assert_eq!(fs::metadata(starget.path("out")).unwrap().permissions().mode() & 0o7777, 0o4711);
}

#[test]
fn one_file_goes_to_the_name_that_was_given() {
    let (served, starget) = (tree(), Starget::new());
    let image = served.image();
    starget.run(&["get", &image, "b", "renamed"]).ok();
    starget.run(&["get", &image, "b"]).ok();
    fs::create_dir(starget.path("folder")).unwrap();
    starget.run(&["get", &image, "b", "folder"]).ok();
    starget.run(&["get", "-o", "new/", &image, "b"]).ok();
    for name in ["renamed", "b", "folder/b", "new/b"] {
        assert_eq!(fs::read_to_string(starget.path(name)).unwrap(), "b", "{name}");
    }
    starget.run(&["get", &image, "a/same", "alone"]).ok();
    assert_eq!(fs::read_to_string(starget.path("alone")).unwrap(), "content\n", "another name of a file is the file");
}

#[test]
fn what_was_there_is_replaced_but_never_a_directory() {
    let (served, starget) = (tree(), Starget::new());
    fs::create_dir_all(starget.path("out/a/file")).unwrap();
    fs::write(starget.path("out/a/big"), "old").unwrap();
    let ran = starget.run(&["get", &served.image(), "a/", "out"]).fails(6, &["a/file", "directory is in the way"]);
    assert!(ran.stderr().contains("a/same"), "its other name failed with it: {}", ran.stderr());
    assert_eq!(fs::read(starget.path("out/a/big")).unwrap(), noise(3, 300_000));
    assert!(starget.path("out/a/file").is_dir());
}

#[test]
fn globs_bring_what_lies_in_the_directories_they_match() {
    let (served, starget) = (tree(), Starget::new());
    starget.run(&["get", &served.image(), "*", "all"]).ok();
    assert!(starget.path("all/b").is_file() && starget.path("all/a/big").is_file());
    starget.run(&["get", &served.image(), "a*", "some"]).ok();
    assert!(!starget.path("some/b").exists() && starget.path("some/a/big").is_file());
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let (served, starget) = (tree(), Starget::new());
    let image = served.image();
    starget.run(&["get", &image]).fails(2, &[]);
    starget.run(&["get", &image, "a", "b", "c"]).fails(2, &["too many"]);
    starget.run(&["get", "-o", "x", &image, "a", "b"]).fails(2, &["twice"]);
    starget.run(&["get", "-o", "-", &image, "a/"]).fails(2, &["no file"]);
    starget.run(&["get", "Not An Image", "a"]).fails(2, &["not an image"]);
    starget.run(&["frobnicate"]).fails(2, &[]);
    assert!(served.upstream.requests().iter().all(|request| request.path.contains("/v2/")));
}

#[test]
fn layers_that_cannot_be_read_in_parts_are_named_or_read_whole() {
    let mut plain = estargz(&[TarEntry::file("a", "a"), TarEntry::symlink("l", "a"), TarEntry::file("gone", "x")]);
    plain.blob.truncate(plain.data_end as usize);
    // What is cut off with the table is the end of the archive, which readers of tars can do without.
    plain.annotations.clear();
    let upper = estargz(&[TarEntry::file(".wh.gone", ""), TarEntry::file("b", "b")]);
    let (served, starget) = (Served::new(vec![plain, upper]), Starget::new());
    let layer = served.layer(0).to_string();
    let ran = starget.run(&["ls", "--json", &served.image()]).fails(7, &[&layer]);
    assert_eq!((&ran.error()["code"], &ran.error()["details"]["layer"]), (&"not_lazy".into(), &layer.into()));
    let ran = starget.run(&["get", "--allow-full-layers", &served.image(), ".", "out"]).ok();
    assert!(ran.stderr().contains("warning: reading all"), "{}", ran.stderr());
    let names: Vec<_> =
        listing(&starget.path("out")).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["a", "b", "l"]);
}
