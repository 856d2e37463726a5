//! Tables that lie, one rule a test: each is refused with the entry and the rule, and never a panic or a wrong file.

use std::io::Write;

use estargz::{EntryFault, Error, Verification, limits};
use serde_json::{Value, json};
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry, gzip_footer, toc_tar};

use crate::support::{content, noise, open, try_open};

/// `chunked` has three chunks; the landmark is entry 0.
fn entries() -> [TarEntry; 3] {
    [TarEntry::file("a", b"a"), TarEntry::file("chunked", noise(2500)), TarEntry::file("z", b"z")]
}

fn changed(change: impl FnOnce(&mut Value)) -> Built {
    StargzWriter::new(Flavour::EStargz).chunk_size(1000).build_with(&entries(), change)
}

fn fault(change: impl FnOnce(&mut Value)) -> EntryFault {
    let error = try_open(&changed(change), Verification::Required).expect_err("a table that lies");
    let text = error.to_string();
    assert!(text.len() < 1000 && !text.contains(char::is_control), "{text:?}");
    match error {
        Error::Entry { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

fn append(entry: Value) -> impl FnOnce(&mut Value) {
    move |toc| toc["entries"].as_array_mut().unwrap().push(entry)
}

#[test]
fn names_that_lead_out_or_are_none() {
    let named = |name: &str| fault(append(json!({"name": name, "type": "dir"})));
    for name in ["../x", "a/../../x", "/..", "x/.."] {
        assert_eq!(named(name), EntryFault::NameEscapes, "{name}");
    }
    assert_eq!(named("nul\0"), EntryFault::Nul);
    assert_eq!(named(""), EntryFault::NameEmpty);
    assert_eq!(named(&"long/".repeat(1000)), EntryFault::NameTooLong);
    assert_eq!(named(&"x".repeat(300)), EntryFault::ComponentTooLong);
    assert_eq!(named(&"d/".repeat(300)), EntryFault::NameTooDeep);
    assert_eq!(fault(append(json!({"name": "/", "type": "fifo"}))), EntryFault::RootNotDirectory);
    assert_eq!(fault(append(json!({"type": "dir"}))), EntryFault::NameEmpty);
}

#[test]
fn names_with_odd_but_harmless_characters_stay() {
    let names = ["back\\slash", "new\nline", "caf\u{e9}", "...", "..x", " "];
    let built = changed(|toc| {
        for name in names {
            append(json!({"name": name, "type": "fifo"}))(toc);
        }
    });
    let reader = open(&built);
    assert!(names.iter().all(|name| reader.layer().toc().get(name).is_some()));
}

#[test]
fn types_and_links_that_mean_nothing() {
    assert_eq!(fault(append(json!({"name": "x", "type": "door"}))), EntryFault::UnknownType { found: "door".into() });
    assert_eq!(fault(append(json!({"name": "x"}))), EntryFault::UnknownType { found: String::new() });
    for kind in ["symlink", "hardlink"] {
        assert_eq!(fault(append(json!({"name": "x", "type": kind}))), EntryFault::NoLinkTarget);
        assert_eq!(fault(append(json!({"name": "x", "type": kind, "linkName": "a\0"}))), EntryFault::Nul);
        let long = "x/".repeat(4000);
        assert_eq!(fault(append(json!({"name": "x", "type": kind, "linkName": long}))), EntryFault::NameTooLong);
    }
    let escapes = json!({"name": "x", "type": "hardlink", "linkName": "../../etc/passwd"});
    assert_eq!(fault(append(escapes)), EntryFault::NameEscapes);
}

#[test]
fn numbers_out_of_range() {
    for field in ["uid", "gid", "devMajor", "devMinor"] {
        for value in [-1_i64, 1 << 32] {
            let entry = json!({"name": "x", "type": "char", field: value});
            assert_eq!(fault(append(entry)), EntryFault::OutOfRange { field });
        }
    }
    for field in ["size", "offset", "chunkOffset", "chunkSize", "innerOffset", "endOffset"] {
        let entry = |value: i64| {
            let mut entry = json!({"name": "x", "type": "reg", "size": 1, "offset": 90});
            entry[field] = value.into();
            entry
        };
        assert_eq!(fault(append(entry(-1))), EntryFault::OutOfRange { field });
        assert_eq!(fault(append(entry(i64::MIN))), EntryFault::OutOfRange { field });
        let error = try_open(&changed(append(entry(i64::MAX))), Verification::Required).expect_err(field);
        assert!(matches!(error, Error::Entry { .. }), "{field}: {error}");
    }
}

#[test]
fn times_digests_and_attributes_that_do_not_parse() {
    assert_eq!(fault(append(json!({"name": "x", "type": "dir", "modtime": "yesterday"}))), EntryFault::InvalidTime);
    let digest =
        |field: &str| fault(append(json!({"name": "x", "type": "reg", "size": 1, "offset": 90, field: "sha256:0"})));
    assert!(matches!(digest("digest"), EntryFault::InvalidDigest { field: "digest", .. }));
    assert!(matches!(digest("chunkDigest"), EntryFault::InvalidDigest { field: "chunkDigest", .. }));
    let xattrs = |map: Value| fault(append(json!({"name": "x", "type": "dir", "xattrs": map})));
    assert_eq!(xattrs(json!({"user.x": "%"})), EntryFault::InvalidXattrs);
    let many: serde_json::Map<_, _> = (0..300).map(|number| (format!("user.{number}"), json!(""))).collect();
    assert_eq!(xattrs(Value::Object(many)), EntryFault::InvalidXattrs);
}

#[test]
fn offsets_outside_of_the_data() {
    let data_end = changed(|_| ()).data_end;
    for offset in [0, data_end, data_end + 1, u64::MAX >> 1] {
        let found = fault(|toc| toc["entries"][1]["offset"] = offset.into());
        assert_eq!(found, EntryFault::OffsetOutside { offset, data_end });
    }
    let found = fault(|toc| toc["entries"][1]["innerOffset"] = (limits::MAX_INNER_OFFSET + 1).into());
    assert_eq!(found, EntryFault::InnerOffsetTooLarge { found: limits::MAX_INNER_OFFSET + 1 });
    let mut starts = Vec::new();
    changed(|toc| starts.extend([1, 2].map(|entry| toc["entries"][entry]["offset"].as_u64().unwrap())));
    for end in [starts[0] - 1, starts[0], data_end + 1] {
        let found = fault(|toc| toc["entries"][1]["endOffset"] = end.into());
        assert_eq!(found, EntryFault::EndOffsetOutside { found: end });
    }
}

#[test]
fn chunks_that_do_not_tile_the_file() {
    let tile = |expected, found| EntryFault::ChunksDoNotTile { expected, found };
    // A gap, an overlap, too little, too much, and a file that begins late.
    assert_eq!(fault(|toc| toc["entries"][3]["chunkOffset"] = 1001.into()), tile(1000, 1001));
    assert_eq!(fault(|toc| toc["entries"][3]["chunkOffset"] = 999.into()), tile(1000, 999));
    assert_eq!(fault(|toc| toc["entries"][4]["chunkSize"] = 499.into()), tile(2500, 2499));
    assert!(matches!(fault(|toc| toc["entries"][4]["chunkSize"] = 501.into()), EntryFault::ChunksDoNotTile { .. }));
    assert!(matches!(fault(|toc| toc["entries"][2]["size"] = 2000.into()), EntryFault::ChunksDoNotTile { .. }));
    assert_eq!(fault(|toc| toc["entries"][2]["chunkOffset"] = 1.into()), tile(0, 1));
    assert!(matches!(
        fault(|toc| toc["entries"][2]["chunkSize"] = i64::MAX.into()),
        EntryFault::ChunksDoNotTile { .. }
    ));
    let gone = |toc: &mut Value| drop(toc["entries"].as_array_mut().unwrap().remove(3));
    assert_eq!(fault(gone), tile(1000, 2000));
    let error = try_open(&changed(gone), Verification::Required).unwrap_err().to_string();
    assert!(error.contains("\"chunked\"") && error.contains("cover the file exactly"), "{error}");
}

#[test]
fn chunks_out_of_the_order_of_their_offsets() {
    let swap = |toc: &mut Value| {
        let (one, two) = (toc["entries"][3]["offset"].take(), toc["entries"][4]["offset"].take());
        toc["entries"][3]["offset"] = two;
        toc["entries"][4]["offset"] = one;
    };
    assert_eq!(fault(swap), EntryFault::ChunksOutOfOrder);
    let same = |toc: &mut Value| toc["entries"][3]["offset"] = toc["entries"][2]["offset"].clone();
    assert_eq!(fault(same), EntryFault::ChunksOutOfOrder);
}

#[test]
fn chunks_of_nothing() {
    let chunk = json!({"name": "a", "type": "chunk", "offset": 90, "chunkOffset": 1, "chunkSize": 1});
    let stray = |entry: Value| {
        fault(|toc| {
            append(entry)(toc);
            append(chunk.clone())(toc);
        })
    };
    assert_eq!(stray(json!({"name": "d", "type": "dir"})), EntryFault::StrayChunk);
    assert_eq!(stray(json!({"name": "e", "type": "reg"})), EntryFault::StrayChunk);
    assert_eq!(fault(|toc| toc["entries"][0] = chunk.clone()), EntryFault::StrayChunk);
    assert_eq!(fault(|toc| toc["entries"][3]["chunkType"] = "sparse".into()), EntryFault::UnknownChunkType);
}

#[test]
fn chunks_belong_to_the_file_before_them_whatever_their_names() {
    let built = changed(|toc| {
        toc["entries"][3]["name"] = "a".into();
        toc["entries"][4].as_object_mut().unwrap().remove("name");
    });
    let reader = open(&built);
    assert_eq!(content(&reader, "chunked").unwrap(), noise(2500));
    assert_eq!(content(&reader, "a").unwrap(), b"a");
}

#[test]
fn of_two_entries_with_one_name_the_last_counts_and_no_chunk_of_the_first() {
    let twice = [
        TarEntry::file("dir/x", noise(2500)),
        TarEntry::file("other", b"other"),
        TarEntry::file("./dir/x", b"short"),
        TarEntry::directory("dir/").mode(0o700),
        TarEntry::directory("dir").mode(0o711),
    ];
    let built = StargzWriter::new(Flavour::EStargz).chunk_size(1000).build(&twice);
    let reader = open(&built);
    assert_eq!(content(&reader, "dir/x").unwrap(), b"short");
    assert_eq!(content(&reader, "other").unwrap(), b"other");
    let toc = reader.layer().toc();
    assert_eq!(toc.get("dir").unwrap().mode(), 0o711);
    assert_eq!(toc.entries().filter(|entry| entry.path() == "dir/x").count(), 1);
    assert_eq!(reader.layer().plan(toc.get("dir/x").unwrap()).unwrap().len(), 1);
}

#[test]
fn entries_below_what_is_not_a_directory() {
    let found = fault(|toc| {
        append(json!({"name": "pwn", "type": "symlink", "linkName": "/etc"}))(toc);
        append(json!({"name": "pwn/passwd", "type": "reg"}))(toc);
    });
    assert_eq!(found, EntryFault::BelowNonDirectory { parent: "pwn".into() });
    let deep = fault(|toc| append(json!({"name": "a/b/c/d", "type": "dir"}))(toc));
    assert_eq!(deep, EntryFault::BelowNonDirectory { parent: "a".into() });
}

#[test]
fn hard_links_that_lead_nowhere_are_told_when_they_are_read() {
    let links = [
        TarEntry::directory("d/"),
        TarEntry::hardlink("one", "two"),
        TarEntry::hardlink("two", "one"),
        TarEntry::hardlink("self", "self"),
        TarEntry::hardlink("missing", "nothing"),
        TarEntry::hardlink("to-dir", "d"),
    ];
    let reader = open(&StargzWriter::new(Flavour::EStargz).build(&links));
    for path in ["one", "two", "self", "missing", "to-dir"] {
        assert!(matches!(content(&reader, path), Err(Error::BrokenHardlink { .. })), "{path}");
    }
    assert!(matches!(content(&reader, "d"), Err(Error::NotAFile { .. })));
    let chain = |length: usize| {
        let mut links = vec![TarEntry::file("link-0", b"end")];
        let link = |number: usize| TarEntry::hardlink(&format!("link-{}", number + 1), &format!("link-{number}"));
        links.extend((0..length).map(link));
        content(&open(&StargzWriter::new(Flavour::EStargz).build(&links)), &format!("link-{length}"))
    };
    assert_eq!(chain(limits::MAX_LINKS).unwrap(), b"end");
    assert!(matches!(chain(limits::MAX_LINKS + 1), Err(Error::BrokenHardlink { .. })));
}

fn raw(json: impl Into<Vec<u8>>) -> Result<(), Error> {
    let built = StargzWriter::new(Flavour::EStargz).build_raw(&entries(), |_| json.into());
    try_open(&built, Verification::Required).map(drop)
}

#[test]
fn documents_that_are_not_one_table() {
    assert!(raw(r#"{"version":1,"entries":[]}"#).is_ok());
    assert!(raw("{\"version\":1,\"entries\":[]}\n \t\r\n").is_ok());
    for json in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"version":1}"#,
        r#"{"entries":[]}"#,
        r#"{"version":2,"entries":[]}"#,
        r#"{"version":1,"version":1,"entries":[]}"#,
        r#"{"version":1,"entries":[],"entries":[]}"#,
        r#"{"version":1,"entries":{}}"#,
        r#"{"version":1,"entries":[]} x"#,
        r#"{"version":1,"entries":[]}{"version":1,"entries":[]}"#,
        r#"{"version":1,"entries":["#,
        r#"{"version":1,"entries":[{"name":"a","name":"b","type":"dir"}]}"#,
        r#"{"version":1,"entries":[{"name":1,"type":"dir"}]}"#,
        r#"{"version":1,"entries":[{"name":"x","type":"reg","size":1e99}]}"#,
    ] {
        assert!(matches!(raw(json), Err(Error::TocMalformed { .. })), "{json}: {:?}", raw(json));
    }
    assert!(matches!(raw(*b"{\"version\":1,\"entries\":[]}\0"), Err(Error::TocMalformed { .. })));
    let nested = format!(r#"{{"version":1,"x":{}{},"entries":[]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    // What we do not know is skipped, however deep, without recursion; what we know is not a list.
    assert!(raw(nested.clone()).is_ok());
    let nested = nested.replace("\"x\":", "\"version\":");
    assert!(matches!(raw(nested), Err(Error::TocMalformed { .. })));
}

#[test]
fn strings_and_tables_without_end() {
    let string = |length: usize| {
        let entry = json!({"name": "x", "type": "dir", "unknown": "s".repeat(length)});
        raw(json!({"version": 1, "entries": [entry]}).to_string())
    };
    assert!(string(limits::MAX_TOC_STRING).is_ok());
    let error = string(limits::MAX_TOC_STRING + 1).unwrap_err();
    assert!(matches!(error, Error::TocLimit { what: "a string with bytes", .. }), "{error}");
    let spaces = vec![b' '; 3 << 20];
    let error = raw(spaces).unwrap_err();
    assert!(matches!(error, Error::TocLimit { what: "bytes of JSON for each compressed byte", .. }), "{error}");
    // Directories deep enough that what they imply is far more than what is listed.
    let deep = |number: usize| json!({"name": format!("{number}/{}", "d/".repeat(250)), "type": "dir"});
    let bomb = json!({"version": 1, "entries": (0..20_000).map(deep).collect::<Vec<_>>()}).to_string();
    let error = try_open(&incompressible(&bomb), Verification::IfStated).unwrap_err();
    assert!(matches!(error, Error::TocLimit { what: "bytes in memory", .. }), "{error}");
}

/// A layer whose table is stored, not compressed, so that the limit of the ratio is not the one that is met.
fn incompressible(json: &str) -> Built {
    let tar = toc_tar("stargz.index.json", json.len() as u64, json.as_bytes());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&tar).unwrap();
    let plain = StargzWriter::new(Flavour::EStargz).without_annotations().build(&entries());
    let mut blob = plain.blob[..plain.data_end as usize].to_vec();
    blob.extend(encoder.finish().unwrap());
    blob.extend(gzip_footer(Flavour::EStargz, plain.data_end));
    Built { blob, ..plain }
}

#[test]
fn more_entries_than_any_layer_has() {
    let mut json = String::from(r#"{"version":1,"entries":["#);
    let entry = r#"{"name":"/","type":"dir"},"#;
    json.push_str(&entry.repeat(limits::MAX_TOC_ENTRIES + 1));
    json.push_str("{}]}");
    let error = try_open(&incompressible(&json), Verification::IfStated).unwrap_err();
    assert!(matches!(error, Error::TocLimit { what: "entries", .. }), "{error}");
}

#[test]
fn sizes_that_no_member_can_hold() {
    let found = fault(|toc| toc["entries"][1]["size"] = (1_u64 << 50).into());
    assert!(matches!(found, EntryFault::PayloadTooLarge { size, .. } if size == 1 << 50), "{found}");
    let zeros = [TarEntry::file("zeros", vec![0; 64 << 20])];
    for flavour in [Flavour::EStargz, Flavour::ZstdStargz] {
        let built = StargzWriter::new(flavour).chunk_size(32 << 20).build(&zeros);
        assert_eq!(content(&open(&built), "zeros").unwrap().len(), 64 << 20, "{flavour:?}");
    }
}
