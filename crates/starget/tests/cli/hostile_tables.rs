//! Tables of contents that lie, one rule a row, read by the built program: what it says, and that nothing was written.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry, gzip_footer, toc_member, toc_tar};

use crate::support::*;

/// The landmark is entry 0; `chunked` has three chunks.
fn entries() -> [TarEntry; 3] {
    [TarEntry::file("a", "a"), TarEntry::file("chunked", noise(1, 2500)), TarEntry::file("z", "z")]
}

fn writer() -> StargzWriter {
    StargzWriter::new(Flavour::EStargz).chunk_size(1000)
}

fn changed(change: impl FnOnce(&mut Vec<Value>)) -> Built {
    writer().build_with(&entries(), |toc| change(toc["entries"].as_array_mut().unwrap()))
}

fn with(entry: Value) -> Built {
    changed(|entries| entries.push(entry))
}

/// `field` of the second chunk of `chunked`.
fn second_chunk(field: &str, value: impl Into<Value>) -> Built {
    changed(|entries| {
        let at = entries.iter().position(|entry| entry["name"] == "chunked").unwrap();
        entries[at + 1][field] = value.into();
    })
}

fn of_a(field: &str, value: impl Into<Value>) -> Built {
    changed(|entries| entries.iter_mut().find(|entry| entry["name"] == "a").unwrap()[field] = value.into())
}

fn raw(json: impl Into<Vec<u8>>) -> Built {
    writer().build_raw(&entries(), |_| json.into())
}

/// Honest data with another end: no annotations.
fn ending(end: impl FnOnce(u64) -> Vec<u8>) -> Built {
    let built = writer().without_annotations().build(&entries());
    let mut blob = built.blob[..built.data_end as usize].to_vec();
    blob.extend(end(built.data_end));
    Built { blob, ..built }
}

fn framed(name: &str, stated: u64) -> Built {
    let json = br#"{"version":1,"entries":[]}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&toc_tar(name, stated, json)).unwrap();
    let member = encoder.finish().unwrap();
    ending(|offset| [member, gzip_footer(Flavour::EStargz, offset)].concat())
}

fn pointing_to(offset: u64) -> Built {
    ending(|_| [toc_member(b"{}"), gzip_footer(Flavour::EStargz, offset)].concat())
}

/// Each is refused as a whole, with these words.
#[track_caller]
fn refused(cases: Vec<(&str, Built, &str)>) {
    for (case, layer, words) in cases {
        let (served, starget) = (Served::new(vec![layer]), Starget::new());
        fs::create_dir(starget.path("deep")).unwrap();
        for command in [&["get"][..], &["get", "--skip-verify"]] {
            let image = served.image();
            let ran = starget.run(&[command, &[&image, ".", "deep/out"]].concat());
            assert_eq!(ran.code(), 1, "{case}: {}", ran.stderr());
            assert!(ran.stderr().contains(words), "{case}: no '{words}' in {}", ran.stderr());
            assert!(ran.stderr().contains(&served.layer(0).to_string()), "{case}: which layer? {}", ran.stderr());
            assert!(ran.stderr().len() < 2000 && !ran.stderr().contains('\0'), "{case}");
        }
        let ran = starget.run(&["ls", "--json", &served.image()]);
        assert_eq!((ran.code(), ran.stdout().as_str()), (1, ""), "{case}");
        assert!(ran.error()["message"].is_string(), "{case}");
        let left = listing(starget.folder.path()).into_iter().filter(|line| !line.starts_with("cache"));
        let left: Vec<_> = left.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(left, ["deep"], "{case}: nothing is written");
    }
}

#[test]
fn names() {
    let named = |name: &str| with(json!({"name": name, "type": "dir"}));
    refused(vec![
        ("up", named("../x"), "leads out of the tree"),
        ("up in the middle", named("a/../../x"), "leads out of the tree"),
        ("up from the root", named("/../x"), "leads out of the tree"),
        ("NUL", named("x\0y"), "NUL"),
        ("empty", named(""), "no name"),
        ("none", with(json!({"type": "dir"})), "no name"),
        ("long", named(&"long/".repeat(1000)), "longer than 4096 bytes"),
        ("long component", named(&"x".repeat(256)), "longer than 255 bytes"),
        ("deep", named(&"d/".repeat(300)), "more than 256 components"),
        ("root that is a file", with(json!({"name": "/", "type": "fifo"})), "root but is not a directory"),
        (
            "below a link",
            changed(|entries| {
                entries.push(json!({"name": "pwn", "type": "symlink", "linkName": "/etc"}));
                entries.push(json!({"name": "pwn/passwd", "type": "reg"}));
            }),
            "which is not a directory",
        ),
        ("link to NUL", with(json!({"name": "l", "type": "symlink", "linkName": "a\0"})), "NUL"),
        ("link to nothing", with(json!({"name": "l", "type": "hardlink"})), "without a target"),
        ("hard link out", with(json!({"name": "l", "type": "hardlink", "linkName": "../../etc/shadow"})), "leads out"),
        ("kind", with(json!({"name": "l", "type": "socket"})), "unknown"),
    ]);
}

#[test]
fn numbers_and_offsets() {
    refused(vec![
        ("before the data", of_a("offset", 0), "outside of the layer's data"),
        ("after the data", of_a("offset", 1_u64 << 40), "outside of the layer's data"),
        ("negative", of_a("offset", -1), "out of range"),
        ("far after the data", of_a("offset", i64::MAX), "outside of the layer's data"),
        ("overflow", of_a("offset", u64::MAX), "malformed"),
        ("negative size", of_a("size", -5), "out of range"),
        ("more than fits", of_a("size", 1_u64 << 50), "cannot be in a member"),
        ("bomb before the payload", of_a("innerOffset", 1_u64 << 40), "innerOffset"),
        ("end before its begin", of_a("endOffset", 1), "endOffset"),
        ("backwards", second_chunk("offset", 100), "order of their offsets"),
        ("overlap", second_chunk("chunkOffset", 999), "do not cover the file exactly"),
        ("gap", second_chunk("chunkOffset", 1001), "do not cover the file exactly"),
        ("overflowing chunk", second_chunk("chunkSize", i64::MAX), "do not cover the file exactly"),
        ("too long a chunk", second_chunk("chunkSize", 1501), "do not cover the file exactly"),
        (
            "size is not the sum",
            changed(|entries| {
                let file = entries.iter_mut().find(|entry| entry["name"] == "chunked").unwrap();
                file["size"] = 2000.into();
            }),
            "do not cover the file exactly",
        ),
        (
            "chunk of nothing",
            changed(|entries| entries.insert(0, json!({"type": "chunk", "offset": 9}))),
            "follows no file",
        ),
        ("kind of chunk", second_chunk("chunkType", "ones"), "chunkType"),
        ("digest", of_a("chunkDigest", "sha256:xyz"), "chunkDigest is not a digest"),
        ("time", of_a("modtime", "yesterday"), "RFC 3339"),
        ("attributes", of_a("xattrs", json!({"user.a": "***"})), "extended attributes"),
    ]);
}

#[test]
fn documents_and_frames() {
    let long = json!({"name": "x", "type": "dir", "unknown": "s".repeat(200 << 10)});
    refused(vec![
        ("no document", raw(""), "malformed"),
        ("another document behind", raw(r#"{"version":1,"entries":[]} {}"#), "malformed"),
        ("another version", raw(r#"{"version":2,"entries":[]}"#), "malformed"),
        ("cut", raw(r#"{"version":1,"entries":[{"na"#), "malformed"),
        ("bomb", raw(vec![b' '; 3 << 20]), "beyond the limit of 100"),
        ("long string", with(long), "a string with bytes beyond the limit"),
        ("another name", framed("stargz.index.jsom", 26), "malformed"),
        ("shorter than it is", framed("stargz.index.json", 25), "malformed"),
        ("longer than it is", framed("stargz.index.json", 1 << 20), "malformed"),
        ("larger than any", framed("stargz.index.json", 1 << 33), "beyond the limit"),
        ("table at the beginning", pointing_to(0), "footer of the layer is invalid"),
        ("table past the end", pointing_to(1 << 40), "footer of the layer is invalid"),
        ("table somewhere else", pointing_to(3), "malformed"),
        (
            "table of 65 MiB",
            {
                let built = ending(|_| vec![0; 65 << 20]);
                let blob = [built.blob, gzip_footer(Flavour::EStargz, built.data_end)].concat();
                Built { blob, ..built }
            },
            "compressed bytes beyond the limit",
        ),
    ]);
}

#[test]
fn of_two_entries_with_one_name_the_last_counts() {
    let twice = [TarEntry::file("dir/x", noise(1, 2500)), TarEntry::file("o", "o"), TarEntry::file("./dir/x", "short")];
    let (served, starget) = (Served::new(vec![writer().build(&twice)]), Starget::new());
    starget.run(&["get", &served.image(), ".", "out"]).ok();
    assert_eq!(fs::read_to_string(starget.path("out/dir/x")).unwrap(), "short");
    assert_eq!(fs::read_to_string(starget.path("out/o")).unwrap(), "o");
}

#[test]
fn odd_but_harmless_names_are_kept() {
    let names = ["back\\slash", "caf\u{e9}", "...", "..x", " ", "-rf"];
    let entries: Vec<_> = names.iter().map(|name| TarEntry::file(name, name)).collect();
    let (served, starget) = (Served::new(vec![writer().build(&entries)]), Starget::new());
    starget.run(&["get", &served.image(), "/", "out"]).ok();
    for name in names {
        assert_eq!(fs::read_to_string(starget.path("out").join(name)).unwrap(), name);
    }
}

#[test]
fn members_that_hold_something_else_fail_their_files_alone() {
    let honest = writer().build(&entries());
    let listed = honest.toc["entries"].as_array().unwrap();
    let at = listed.iter().find(|entry| entry["name"] == "a").unwrap()["offset"].as_u64().unwrap() as usize;
    for (case, bytes, words) in [
        ("no gzip", &[0_u8; 3][..], "cannot be decoded"),
        ("other flags", &[0x1f, 0x8b, 8, 0xff], "cannot be decoded"),
        ("deflate that is none", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 7], "cannot be decoded"),
    ] {
        let mut layer = honest.clone();
        layer.blob[at..at + bytes.len()].copy_from_slice(bytes);
        let (served, starget) = (Served::new(vec![layer]), Starget::new());
        let ran = starget.run(&["get", &served.image(), ".", "out"]);
        assert_eq!(ran.code(), 6, "{case}: {}", ran.stderr());
        assert!(ran.stderr().contains("failed: a: ") && ran.stderr().contains(words), "{case}: {}", ran.stderr());
        let names: Vec<_> =
            listing(&starget.path("out")).iter().map(|line| line[..line.find(' ').unwrap()].to_owned()).collect();
        assert_eq!(names, ["chunked", "z"], "{case}");
        assert_eq!(fs::read(starget.path("out/chunked")).unwrap(), noise(1, 2500));
    }
    // A payload that goes on in the next member.
    let longer = changed(|entries| {
        let file = entries.iter_mut().find(|entry| entry["name"] == "a").unwrap();
        file["size"] = 3000.into();
        file.as_object_mut().unwrap().remove("chunkSize");
    });
    let (served, starget) = (Served::new(vec![longer]), Starget::new());
    let ran = starget.run(&["get", &served.image(), "a", "out"]);
    assert!(matches!(ran.code(), 1 | 5) && ran.stderr().contains("a: "), "{}", ran.stderr());
    assert!(!starget.path("out").exists() && !starget.path("out.partial").exists());
}
