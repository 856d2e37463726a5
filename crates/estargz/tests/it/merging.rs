//! Trees of several layers: what replaces, removes and hides what.

use estargz::{EntryKind, Error, ImageTree};
use testkit::stargz::TarEntry;

use crate::support::{image, paths};

fn file(name: &str) -> TarEntry {
    TarEntry::file(name, name)
}

fn directory(name: &str) -> TarEntry {
    TarEntry::directory(name)
}

#[test]
fn upper_layers_add_and_replace() {
    let tree = image(&[
        &[directory("a/"), file("a/one"), file("a/two"), file("z")],
        &[file("a/one"), file("b/new"), TarEntry::symlink("z", "a/two")],
    ]);
    assert_eq!(paths(&tree), ["a", "a/one", "a/two", "b", "b/new", "z"]);
    let layer = |path| tree.get(path).unwrap().layer_index();
    assert_eq!((layer("a/one"), layer("a/two"), layer("z"), layer("b")), (1, 0, 1, 1));
    assert_eq!(tree.get("z").unwrap().kind(), EntryKind::Symlink);
    assert_eq!(tree.len(), 7);
}

#[test]
fn whiteouts_remove_from_below_only_and_never_show() {
    let tree = image(&[
        &[file("gone"), file("dir/a"), file("dir/b"), file("again"), file("whole/x/y"), file("wholesale")],
        &[file(".wh.gone"), file("dir/.wh.a"), file(".wh.again"), file("again"), file(".wh.whole"), file(".wh.never")],
    ]);
    assert_eq!(paths(&tree), ["again", "dir", "dir/b", "wholesale"]);
    assert_eq!(tree.get("again").unwrap().layer_index(), 1);
    assert!(tree.get("whole/x/y").is_none() && tree.get(".wh.gone").is_none());
}

#[test]
fn a_removed_directory_that_is_made_anew_is_empty() {
    let tree = image(&[
        &[directory("d/").mode(0o700), file("d/old")],
        &[file(".wh.d"), directory("d/").mode(0o711), file("d/new")],
    ]);
    assert_eq!(paths(&tree), ["d", "d/new"]);
    assert_eq!(tree.get("d").unwrap().entry().mode(), 0o711);
    // The same, where the upper layer only implies the directory.
    let implied = image(&[&[directory("d/").mode(0o700), file("d/old")], &[file(".wh.d"), file("d/new")]]);
    assert_eq!(paths(&implied), ["d", "d/new"]);
    assert_eq!(implied.get("d").unwrap().entry().mode(), 0o755);
}

#[test]
fn an_opaque_directory_hides_all_that_was_in_it() {
    let lower = [file("d/old/deep"), file("d/same"), file("dd/stays"), file("top")];
    let tree = image(&[&lower, &[directory("d/"), file("d/same"), file("d/.wh..wh..opq"), file("d/new")]]);
    assert_eq!(paths(&tree), ["d", "d/new", "d/same", "dd", "dd/stays", "top"]);
    assert_eq!(tree.get("d/same").unwrap().layer_index(), 1);
    let root = image(&[&lower, &[file(".wh..wh..opq"), file("new")]]);
    assert_eq!(paths(&root), ["new"]);
}

#[test]
fn reserved_names_remove_nothing() {
    let tree = image(&[&[file("a"), file("wh")], &[file(".wh..wh.plnk"), file(".wh."), file(".wh.."), file(".wh...")]]);
    assert_eq!(paths(&tree), ["a", "wh"]);
}

#[test]
fn a_file_in_place_of_a_directory_and_the_other_way_round() {
    let tree = image(&[&[file("d/x/y"), file("d/z"), file("f")], &[file("d"), file("f/inside")]]);
    assert_eq!(paths(&tree), ["d", "f", "f/inside"]);
    assert_eq!(tree.get("d").unwrap().kind(), EntryKind::File);
    assert_eq!(tree.get("f").unwrap().kind(), EntryKind::Directory);
}

#[test]
fn an_implied_directory_leaves_the_one_below_as_it_is() {
    let tree = image(&[&[directory("d/").mode(0o700), directory("/").mode(0o711)], &[file("d/new")]]);
    assert_eq!(tree.get("d").unwrap().entry().mode(), 0o700);
    assert_eq!(tree.get("").unwrap().entry().mode(), 0o711);
    assert_eq!(tree.get("d").unwrap().layer_index(), 0);
    let explicit = image(&[&[directory("d/").mode(0o700)], &[directory("d/").mode(0o750)]]);
    assert_eq!(explicit.get("d").unwrap().entry().mode(), 0o750);
}

#[test]
fn what_lies_below_a_whiteout_does_not_show() {
    let tree = image(&[
        &[file("gone/x"), file("kept")],
        &[file(".wh.gone/x"), directory("d/.wh.kept/"), file("d/.wh.kept/y")],
    ]);
    assert_eq!(paths(&tree), ["d", "kept"]);
}

#[test]
fn landmarks_are_hidden_at_the_root_and_shown_elsewhere() {
    let tree = image(&[&[file("d/.no.prefetch.landmark"), file(".prefetch.landmark")]]);
    assert_eq!(paths(&tree), ["d", "d/.no.prefetch.landmark"]);
}

#[test]
fn hard_links_stand_for_what_was_there_when_their_layer_came() {
    let tree = image(&[
        &[file("original"), TarEntry::symlink("soft", "original"), directory("dir/")],
        &[
            TarEntry::hardlink("below", "original"),
            TarEntry::hardlink("to-soft", "soft"),
            TarEntry::hardlink("to-dir", "dir"),
        ],
        &[TarEntry::file("original", b"replaced"), TarEntry::hardlink("own", "original"), file(".wh.soft")],
        &[TarEntry::hardlink("through", "below"), TarEntry::hardlink("lost", "soft")],
    ]);
    let content = |path| {
        let (layer, entry) = tree.get(path).unwrap().content()?;
        Ok::<_, Error>((layer.digest(), entry.path().to_owned(), entry.size()))
    };
    let digest = |index: usize| tree.layers()[index].digest();
    assert_eq!(content("below").unwrap(), (digest(0), "original".to_owned(), 8));
    assert_eq!(content("through").unwrap(), content("below").unwrap());
    assert_eq!(content("own").unwrap().0, digest(2));
    assert_eq!(tree.get("to-soft").unwrap().content().unwrap().1.kind(), EntryKind::Symlink);
    for broken in ["to-dir", "lost"] {
        assert!(matches!(content(broken), Err(Error::BrokenHardlink { .. })), "{broken}");
        assert_eq!(tree.get(broken).unwrap().kind(), EntryKind::Hardlink);
    }
}

#[test]
fn directories_are_walked_in_order() {
    let tree = image(&[&[file("a/b/c"), file("a.x"), file("a/b.x"), file("a/0"), file("b")]]);
    assert_eq!(paths(&tree), ["a", "a/0", "a/b", "a/b/c", "a/b.x", "a.x", "b"]);
    let names = |path: &str| tree.get(path).unwrap().children().map(|node| node.name()).collect::<Vec<_>>();
    assert_eq!(names(""), ["a", "a.x", "b"]);
    assert_eq!(names("a"), ["0", "b", "b.x"]);
    assert_eq!(names("b"), [""; 0]);
    let below: Vec<_> = tree.get("a").unwrap().descendants().map(|node| node.path()).collect();
    assert_eq!(below, ["a/0", "a/b", "a/b/c", "a/b.x"]);
}

#[test]
fn an_image_without_layers_has_nothing_and_one_with_too_many_is_refused() {
    assert!(ImageTree::merge(Vec::new()).unwrap().is_empty());
    let one = image(&[&[file("a")]]).layers()[0].clone();
    assert!(ImageTree::merge(vec![one.clone(); 300]).is_ok());
    assert!(matches!(ImageTree::merge(vec![one; 1001]), Err(Error::TooManyLayers { .. })));
}
