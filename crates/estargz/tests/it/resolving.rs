//! What paths mean inside of an image.

use estargz::{Error, FollowLast, ImageTree};
use testkit::stargz::TarEntry;

use crate::support::image;

fn tree() -> ImageTree {
    image(&[&[
        TarEntry::file("usr/bin/dash", b"dash"),
        TarEntry::symlink("usr/bin/sh", "dash"),
        TarEntry::symlink("bin", "usr/bin"),
        TarEntry::symlink("absolute", "/bin/sh"),
        TarEntry::symlink("up", "../../../../bin"),
        TarEntry::symlink("usr/up", "../bin"),
        TarEntry::symlink("one", "two"),
        TarEntry::symlink("two", "./one"),
        TarEntry::symlink("self", "self/self"),
        TarEntry::symlink("dangling", "nowhere"),
        TarEntry::hardlink("hard-soft", "absolute"),
        TarEntry::symlink("many-0", "usr"),
    ]])
}

fn yes(path: &str) -> Result<String, Error> {
    tree().resolve(path, FollowLast::Yes).map(|node| node.path().to_owned())
}

#[test]
fn paths_are_found_however_they_are_spelled() {
    for path in ["usr/bin/dash", "/usr/bin/dash", "./usr//bin/./dash", "usr/bin/../bin/dash", "../../usr/bin/dash"] {
        assert_eq!(yes(path).unwrap(), "usr/bin/dash", "{path}");
    }
    for path in ["", "/", ".", "..", "usr/.."] {
        assert_eq!(yes(path).unwrap(), "", "{path}");
    }
}

#[test]
fn links_lead_within_the_image() {
    for path in ["bin/sh", "/bin/dash", "absolute", "up/sh", "usr/up/sh", "hard-soft"] {
        assert_eq!(yes(path).unwrap(), "usr/bin/dash", "{path}");
    }
    assert_eq!(yes("bin/").unwrap(), "usr/bin");
    assert_eq!(yes("bin/..").unwrap(), "usr");
    let no = |path| tree().resolve(path, FollowLast::No).map(|node| node.path().to_owned()).unwrap();
    assert_eq!((no("bin"), no("bin/sh"), no("dangling")), ("bin".into(), "usr/bin/sh".into(), "dangling".into()));
}

#[test]
fn what_is_not_there_is_said() {
    for path in ["nothing", "usr/nothing", "dangling", "bin/nothing", "nothing/.."] {
        assert!(matches!(yes(path), Err(Error::NotFound { .. })), "{path}: {:?}", yes(path));
    }
    assert!(matches!(yes("usr/bin/dash/x"), Err(Error::NotADirectory { path }) if path == "usr/bin/dash"));
    assert!(matches!(yes("usr/bin/dash/.."), Err(Error::NotADirectory { .. })));
}

#[test]
fn loops_end() {
    for path in ["one", "two", "self", "one/x"] {
        assert!(matches!(yes(path), Err(Error::SymlinkLoop { .. })), "{path}");
    }
}
