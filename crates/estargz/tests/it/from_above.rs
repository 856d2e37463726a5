//! What the upper layers alone say of a path is what all layers say of it, in images made up at random.

use std::sync::Arc;

use estargz::{EntryKind, FollowLast, ImageTree, Node, OpenLayer, Settled, Verification};
use testkit::stargz::{Flavour, StargzWriter, TarEntry};

use crate::support::{image, open_layer};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "c"];
        let depth = 1 + self.below(3);
        (0..depth).map(|_| names[self.below(3)]).collect::<Vec<_>>().join("/")
    }

    fn beside(&mut self, name: &str) -> String {
        let path = self.path();
        path.rsplit_once('/').map_or(name.to_owned(), |(parent, _)| format!("{parent}/{name}"))
    }

    fn entry(&mut self, layer: usize) -> TarEntry {
        let path = self.path();
        match self.below(12) {
            0..=3 => TarEntry::file(&path, format!("{layer} {path}")),
            4 | 5 => TarEntry::directory(&format!("{path}/")),
            6 => TarEntry::symlink(&path, &format!("/{}", self.path())),
            7 => TarEntry::symlink(&path, ["b", "../a/b", "c/../b", "."][self.below(4)]),
            8 => TarEntry::hardlink(&path, &self.path()),
            9 | 10 => TarEntry::file(&self.beside([".wh.a", ".wh.b", ".wh.c"][layer % 3]), ""),
            _ => TarEntry::file(&self.beside(".wh..wh..opq"), ""),
        }
    }

    /// A layer that is accepted: some of what comes out lies below what is no directory.
    fn layer(&mut self, at: usize) -> Arc<OpenLayer> {
        loop {
            let count = 1 + self.below(5);
            let entries: Vec<_> = (0..count).map(|_| self.entry(at)).collect();
            let built = StargzWriter::new(Flavour::EStargz).build(&entries);
            if let Ok(layer) = open_layer(&built, Verification::Required) {
                return Arc::new(layer);
            }
        }
    }
}

fn told(node: Node<'_>) -> (String, EntryKind, String, String) {
    let (layer, content) = node.content().expect("settled nodes have their content");
    let layer = Arc::as_ptr(layer) as usize;
    (node.path().to_owned(), node.kind(), format!("{layer} {:?}", content.id()), format!("{:?}", node.entry().id()))
}

#[test]
fn upper_layers_never_say_what_all_layers_do_not() {
    let mut dice = Dice(7);
    let (mut nodes, mut nowhere, mut open) = (0, 0, 0);
    for _ in 0..400 {
        let layers: Vec<_> = (0..4).map(|at| dice.layer(at)).collect();
        let all = ImageTree::merge(layers.clone()).unwrap();
        let asked: Vec<String> = (0..12).map(|_| dice.path()).collect();
        for first in 0..layers.len() {
            let upper = ImageTree::merge(layers[first..].to_vec()).unwrap();
            for path in &asked {
                for follow in [FollowLast::Yes, FollowLast::No] {
                    let truth = all.resolve(path, follow);
                    match upper.resolve_from_above(path, follow) {
                        Settled::Node(node) => {
                            nodes += 1;
                            assert_eq!(told(node), told(truth.unwrap()), "{path} from layer {first} up");
                        }
                        Settled::Nowhere(error) => {
                            nowhere += 1;
                            assert_eq!(error.to_string(), truth.unwrap_err().to_string(), "{path} from layer {first}");
                        }
                        Settled::Directory => assert_eq!(truth.unwrap().kind(), EntryKind::Directory, "{path}"),
                        Settled::Below(step) => {
                            open += 1;
                            let Some(next) = first.checked_sub(1) else { continue };
                            if !layers[next].decides(&step) {
                                let more = ImageTree::merge(layers[next..].to_vec()).unwrap();
                                let again = more.resolve_from_above(path, follow);
                                assert!(matches!(&again, Settled::Below(same) if *same == step), "{path}: {again:?}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(nodes > 1000 && nowhere > 1000 && open > 1000, "{nodes} {nowhere} {open}");
}

#[test]
fn a_file_of_the_top_layer_needs_no_other() {
    let upper =
        image(&[&[TarEntry::file("etc/a", "a"), TarEntry::symlink("s", "etc/b"), TarEntry::file(".wh.gone", "")]]);
    let from_above = |path| upper.resolve_from_above(path, FollowLast::Yes);
    assert!(matches!(from_above("etc/a"), Settled::Node(node) if node.path() == "etc/a"));
    assert!(matches!(from_above("gone/x"), Settled::Nowhere(_)));
    assert!(matches!(from_above("etc/a/x"), Settled::Nowhere(_)));
    assert!(matches!(from_above("etc"), Settled::Directory));
    assert!(matches!(from_above("s"), Settled::Below(step) if step == "etc/b"));
    assert!(matches!(from_above("usr/bin/x"), Settled::Below(step) if step == "usr"));
}
