//! Layers that other programs wrote (tests/fixtures/make.sh), compared entry by entry with the tar that is in them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use estargz::{
    ChunkSource, EntryKind, Landmark, LayerFormat, LayerHints, LayerReader, MemorySource, OpenLayer, Trust,
    Verification, ZstdDialect,
};
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

use crate::support::content;

type Reader = LayerReader<MemorySource<Vec<u8>>>;

fn fixture(name: &str) -> (Vec<u8>, LayerHints) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let blob = std::fs::read(folder.join(format!("{name}.blob"))).unwrap();
    let descriptor: Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let annotations = descriptor["annotations"].as_object().unwrap().clone();
    let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
    let hints = LayerHints::new(&serde_json::from_value(descriptor.clone()).unwrap(), annotations).unwrap();
    (blob, hints)
}

fn open(name: &str) -> (Reader, Vec<u8>) {
    let (blob, hints) = fixture(name);
    let mut tar = Vec::new();
    if hints.media_type.as_str().ends_with("gzip") {
        MultiGzDecoder::new(&blob[..]).read_to_end(&mut tar).unwrap();
    } else {
        zstd::stream::read::Decoder::new(&blob[..]).unwrap().read_to_end(&mut tar).unwrap();
    }
    (LayerReader::open(MemorySource(blob), hints, Verification::Required).unwrap(), tar)
}

/// Compares the table and every file with the tar; answers how many entries the tar has.
fn compare(reader: &Reader, tar: &[u8]) -> usize {
    let mut count = 0;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if name == "stargz.index.json" {
            continue;
        }
        count += 1;
        let path = name.trim_end_matches('/');
        let ours = reader.layer().toc().get(path).unwrap_or_else(|| panic!("{path}"));
        let mut theirs = Vec::new();
        entry.read_to_end(&mut theirs).unwrap();
        let header = entry.header().clone();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Symlink => EntryKind::Symlink,
            tar::EntryType::Link => EntryKind::Hardlink,
            tar::EntryType::Char => EntryKind::CharDevice,
            tar::EntryType::Fifo => EntryKind::Fifo,
            _ => EntryKind::File,
        };
        assert_eq!(ours.kind(), kind, "{path}");
        if kind == EntryKind::File {
            assert_eq!(ours.size(), theirs.len() as u64, "{path}");
            assert!(content(reader, path).unwrap() == theirs, "{path}");
        }
        if path.ends_with(".landmark") {
            continue; // The writers give the landmark's tar header and its entry other attributes.
        }
        assert_eq!(u32::from(ours.mode()), header.mode().unwrap(), "{path}");
        assert_eq!(
            (u64::from(ours.uid()), u64::from(ours.gid())),
            (header.uid().unwrap(), header.gid().unwrap()),
            "{path}"
        );
        assert_eq!(ours.modified().unwrap().seconds.cast_unsigned(), header.mtime().unwrap(), "{path}");
        let link = header.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap());
        assert_eq!(ours.link_target().map(str::to_owned), link.filter(|_| ours.link_target().is_some()), "{path}");
    }
    count
}

#[test]
fn estargz_of_ctr_remote() {
    for name in ["estargz-4m", "estargz-64k"] {
        let (reader, tar) = open(name);
        assert_eq!(compare(&reader, &tar), 84, "{name}");
        let layer = reader.layer();
        assert_eq!((layer.format(), layer.trust()), (LayerFormat::EStargz, Trust::Verified), "{name}");
        assert_eq!(layer.toc().landmark(), Some(Landmark::NoPrefetch), "{name}");
        let attributed = layer.toc().get("etc/attributed").unwrap();
        assert_eq!(attributed.xattrs().collect::<Vec<_>>(), [("user.foo", &b"bar"[..])]);
        let b = layer.toc().get("home/someone/b").unwrap();
        assert_eq!((b.user_name(), b.group_name()), ("someone", "others"));
        assert_eq!(layer.toc().get("empty").unwrap().user_name(), "root");
        assert_eq!(layer.toc().get("usr/bin/su").unwrap().mode(), 0o4755);
        assert!(layer.toc().get("home").unwrap().is_implied());
    }
    let chunks = |name, path| {
        let (reader, _) = open(name);
        reader.layer().plan(reader.layer().toc().get(path).unwrap()).unwrap().len()
    };
    assert_eq!((chunks("estargz-4m", "big"), chunks("estargz-64k", "big")), (3, 141));
    assert_eq!((chunks("estargz-4m", "exact"), chunks("estargz-64k", "exact")), (1, 2));
}

#[test]
fn estargz_with_files_in_the_order_they_are_wanted() {
    let (reader, tar) = open("estargz-landmark");
    assert_eq!(compare(&reader, &tar), 84);
    let Some(Landmark::Prefetch { end }) = reader.layer().toc().landmark() else { panic!("no landmark") };
    let start = |path| {
        let plan = reader.layer().plan(reader.layer().toc().get(path).unwrap()).unwrap();
        plan[0].range().unwrap().start
    };
    assert!(start("many/007") < start("usr/bin/tool") && start("usr/bin/tool") < start("big") && start("big") < end);
    assert!(start("many/006") > end);
}

#[test]
fn zstd_chunked_of_ctr_remote_and_of_skopeo() {
    for name in ["zstd-stargz", "zstd-skopeo"] {
        let (reader, tar) = open(name);
        let count = compare(&reader, &tar);
        assert_eq!(count, if name == "zstd-stargz" { 84 } else { 83 }, "{name}");
        assert_eq!(reader.layer().format(), LayerFormat::ZstdChunked(ZstdDialect::Stargz), "{name}");
        assert_eq!(reader.layer().trust(), Trust::Verified, "{name}");
    }
}

#[test]
fn footers_alone_say_the_same_as_annotations() {
    for name in ["estargz-4m", "zstd-stargz", "zstd-skopeo"] {
        let (blob, hints) = fixture(name);
        let bare = LayerHints { toc_digest: None, toc_position: None, ..hints };
        let reader = LayerReader::open(MemorySource(blob), bare, Verification::IfStated).unwrap();
        let (annotated, _) = open(name);
        assert_eq!(reader.layer().format(), annotated.layer().format(), "{name}");
        assert_eq!(reader.layer().data(), annotated.layer().data(), "{name}");
        assert_eq!(reader.layer().trust(), Trust::Unstated, "{name}");
        assert_eq!(content(&reader, "usr/bin/tool").unwrap(), b"#!/bin/sh\necho tool\n", "{name}");
    }
}

#[test]
fn a_plain_tar_is_indexed_with_the_same_result() {
    let (table, tar) = open("estargz-4m");
    let (_, hints) = fixture("estargz-4m");
    let indexed = OpenLayer::index_tar(hints, &tar[..]).unwrap();
    assert_eq!((indexed.format(), indexed.trust()), (LayerFormat::IndexedTar, Trust::Unchecked));
    let indexed = LayerReader::new(MemorySource(tar), indexed);
    let by_path = |reader: &Reader| -> BTreeMap<String, String> {
        let shown = |entry: estargz::Entry<'_>| {
            let xattrs: Vec<_> = entry.xattrs().collect();
            format!(
                "{:?} {} {:o} {} {} {} {} {:?} {:?} {xattrs:?}",
                entry.kind(),
                entry.size(),
                entry.mode(),
                entry.uid(),
                entry.gid(),
                entry.user_name(),
                entry.group_name(),
                entry.link_target(),
                entry.device()
            )
        };
        let listed = reader.layer().toc().entries().filter(|entry| {
            !entry.is_implied() && !entry.path().ends_with(".landmark") && entry.path() != "stargz.index.json"
        });
        listed.map(|entry| (entry.path().to_owned(), shown(entry))).collect()
    };
    assert_eq!(by_path(&indexed), by_path(&table));
    for path in ["big", "usr/bin/tool-again", "many/042", "empty"] {
        assert!(content(&indexed, path).unwrap() == content(&table, path).unwrap(), "{path}");
    }
    let entry = indexed.layer().toc().get("exact").unwrap();
    let chunk = indexed.layer().plan(entry).unwrap()[0];
    let ChunkSource::Member { range, inner_offset: 0 } = chunk.source else { panic!("{chunk:?}") };
    assert_eq!(range.len(), 131_072);
}
