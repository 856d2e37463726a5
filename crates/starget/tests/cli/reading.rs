//! `info`, `ls`, `cat` and `stat`: what is said of an image.

use serde_json::Value;
use testkit::stargz::{Flavour, StargzWriter, TarEntry};

use crate::support::*;

fn two_layers() -> Served {
    let lower = estargz(&[
        TarEntry::symlink("bin", "usr/bin"),
        TarEntry::directory("usr/"),
        TarEntry::directory("usr/bin/"),
        TarEntry::file("usr/bin/tool", "tool\n").mode(0o4755).owner(1, 2, "daemon", "bin"),
        TarEntry::hardlink("usr/bin/again", "usr/bin/tool"),
        TarEntry::directory("etc/"),
        TarEntry::file("etc/old", "old\n"),
        TarEntry::file("etc/gone", "gone\n"),
        TarEntry::symlink("etc/link", "/etc/old"),
        TarEntry::file("lib/a.so", noise(1, 200_000)),
        TarEntry::file("lib/deep/b.so", "b"),
        TarEntry::file("odd [name]", "odd"),
        TarEntry::directory("opaque/"),
        TarEntry::file("opaque/below", "below"),
    ]);
    let upper = estargz(&[
        TarEntry::file("etc/old", "new\n"),
        TarEntry::file("etc/.wh.gone", ""),
        TarEntry::file("opaque/.wh..wh..opq", ""),
        TarEntry::file("opaque/above", "above"),
    ]);
    Served::new(vec![lower, upper])
}

#[test]
fn the_merged_tree_is_listed_in_order() {
    let (served, starget) = (two_layers(), Starget::new());
    let image = served.image();
    let listed = starget.run(&["ls", &image]).ok().stdout();
    let expected = "bin\netc/\netc/link\netc/old\nlib/\nlib/a.so\nlib/deep/\nlib/deep/b.so\nodd [name]\nopaque/\n\
                    opaque/above\nusr/\nusr/bin/\nusr/bin/again\nusr/bin/tool\n";
    assert_eq!(listed, expected);
    let of = |words: &[&str]| starget.run(&[&["ls", image.as_str()], words].concat()).ok().stdout();
    assert_eq!(of(&["."]), expected);
    assert_eq!(of(&["/"]), expected);
    assert_eq!(of(&["bin/"]), "usr/bin/\nusr/bin/again\nusr/bin/tool\n", "links to directories are followed");
    assert_eq!(of(&["bin"]), "bin\n");
    assert_eq!(of(&["bin/tool"]), "usr/bin/tool\n");
    assert_eq!(of(&["**/*.so"]), "lib/a.so\nlib/deep/b.so\n");
    assert_eq!(of(&["lib/*.so"]), "lib/a.so\n");
    assert_eq!(of(&["odd [name]"]), "odd [name]\n", "what is there as it is written is no glob");
    assert_eq!(of(&["-0", "etc/"]), "etc/\0etc/link\0etc/old\0");
    assert_eq!(of(&["--tree", "lib"]), "└── lib/\n    ├── a.so\n    └── deep/\n        └── b.so\n");
    let long = of(&["-l", "usr/bin/tool"]);
    assert_eq!(long, "-rwsr-xr-x daemon bin 5 2023-11-14 22:13:20 usr/bin/tool\n");
    let json: Value = serde_json::from_str(&of(&["--json", "usr/bin/again"])).unwrap();
    assert_eq!((&json["type"], &json["link"], &json["size"]), (&"hardlink".into(), &"usr/bin/tool".into(), &5.into()));
}

#[test]
fn one_layer_is_listed_when_its_digest_is_given() {
    let (served, starget) = (two_layers(), Starget::new());
    let lower = served.layer(0).to_string();
    let listed = starget.run(&["ls", &served.image(), &lower, "etc/"]).ok().stdout();
    assert_eq!(listed, "etc/\netc/gone\netc/link\netc/old\n");
    let other = oci::Digest::sha256_of(b"other").to_string();
    starget.run(&["ls", &served.image(), &other]).fails(3, &[&other, "starget info"]);
}

#[test]
fn content_is_what_the_image_shows() {
    let (served, starget) = (two_layers(), Starget::new());
    let image = served.image();
    let cat = |words: &[&str]| starget.run(&[&["cat", image.as_str()], words].concat());
    assert_eq!(cat(&["etc/old"]).ok().stdout(), "new\n");
    assert_eq!(cat(&["/etc/link"]).ok().stdout(), "new\n", "a link is followed inside of the image");
    assert_eq!(cat(&["bin/again"]).ok().stdout(), "tool\n");
    assert_eq!(cat(&["etc/old", "bin/tool"]).ok().stdout(), "new\ntool\n");
    assert_eq!(cat(&["lib/a.so"]).ok().0.stdout, noise(1, 200_000));
    assert_eq!(cat(&[&served.layer(0).to_string(), "etc/old"]).ok().stdout(), "old\n");
    for missing in ["etc/gone", "opaque/below", "nope", "**/*.none", "etc/old/"] {
        let ran = cat(&[missing]).fails(3, &[missing]);
        assert!(ran.stdout().is_empty());
    }
    cat(&["etc/old", "nope"]).fails(3, &["nope"]);
    cat(&["lib"]).fails(2, &["no file", "starget get"]);
    cat(&["[z-a]"]).fails(2, &["pattern"]);
    let piped = starget.run(&["get", "-o", "-", &image, "bin/tool"]).ok();
    assert_eq!(piped.stdout(), "tool\n", "nothing but the file");
}

#[test]
fn stat_says_where_the_bytes_are() {
    let (served, starget) = (two_layers(), Starget::new());
    let text = starget.run(&["stat", "--json", &served.image(), "lib/a.so"]).ok().stdout();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["digest"], oci::Digest::sha256_of(&noise(1, 200_000)).to_string());
    assert_eq!(json["layer"], served.layer(0).to_string());
    assert_eq!(json["chunks"].as_array().unwrap().len(), 4);
    let text = starget.run(&["stat", &served.image(), "usr/bin/tool"]).ok().stdout();
    assert!(text.contains("4755 (-rwsr-xr-x)") && text.contains("2023-11-14T22:13:20Z"), "{text}");
}

#[test]
fn a_table_in_another_image_is_found() {
    let layer = StargzWriter::new(Flavour::ExternalToc).build(&[TarEntry::file("a", "external\n")]);
    let served = Served::new(vec![layer.clone()]);
    let starget = Starget::new();
    starget.run(&["ls", &served.image()]).fails(7, &["-esgztoc"]);

    let mut table = layer.clone();
    table.blob = layer.external_toc.unwrap();
    table.annotations = [("containerd.io/snapshot/stargz/layer.digest".to_owned(), served.layer(0).to_string())].into();
    served.upstream.add_image(REPOSITORY, "1-esgztoc", &image(std::slice::from_ref(&table)));
    assert_eq!(starget.run(&["cat", &served.image(), "a"]).ok().stdout(), "external\n");
    let info = starget.run(&["info", &served.image()]).ok().stdout();
    assert!(info.contains("estargz-external-toc") && info.contains("verified by the manifest"), "{info}");

    // Another table under the same name is noticed.
    let other = StargzWriter::new(Flavour::ExternalToc).build(&[TarEntry::file("a", "changed\n")]);
    table.blob = other.external_toc.unwrap();
    served.upstream.add_image(REPOSITORY, "1-esgztoc", &image(&[table]));
    starget.run(&["cat", "--no-cache", &served.image(), "a"]).fails(5, &["table of contents"]);
}

#[test]
fn info_explains_every_kind_of_layer() {
    let entries = [TarEntry::file("a", "a")];
    let of = |flavour| StargzWriter::new(flavour).build(&entries);
    let mut plain = of(Flavour::EStargz);
    plain.blob.truncate(plain.data_end as usize);
    plain.annotations.clear();
    let served = Served::new(vec![
        of(Flavour::EStargz),
        of(Flavour::LegacyStargz),
        of(Flavour::ZstdStargz),
        of(Flavour::ZstdContainers),
        of(Flavour::ExternalToc),
        StargzWriter::new(Flavour::EStargz).prioritized(&["a"]).build(&entries),
        plain,
    ]);
    let starget = Starget::new();
    let text = starget.run(&["info", &served.image()]).ok().stdout();
    assert!(text.starts_with(&format!("Layers for {}:\n0: {} (size: ", served.image(), served.layer(0))), "{text}");
    let json = starget.run(&["info", "--json", &served.image()]).ok().stdout();
    let json: Value = serde_json::from_str(&json).unwrap();
    let layers = json["layers"].as_array().unwrap();
    let formats: Vec<&str> = layers.iter().map(|layer| layer["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["estargz", "stargz", "zstd:chunked", "zstd:chunked", "plain", "estargz", "plain"]);
    assert_eq!(layers[0]["toc"], "verified");
    assert_eq!(layers[0]["landmark"], "no-prefetch");
    assert_eq!(layers[1]["toc"], "unstated");
    assert!(layers[4]["why_not"].as_str().unwrap().contains("-esgztoc"));
    assert!(layers[5]["landmark"].as_str().unwrap().starts_with("prefetch:"));
    assert!(layers[6]["why_not"].as_str().unwrap().contains("footer"));
}
