//! Blobs whose footers, tar frames and members lie.

use std::io::Write;

use estargz::{Error, Verification, limits};
use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry, gzip_footer, toc_member, toc_tar};

use crate::support::{content, noise, open_layer, try_open};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A blob with this end after honest data, and no annotations.
fn ending(flavour: Flavour, end: impl FnOnce(u64) -> Vec<u8>) -> Built {
    let built = StargzWriter::new(flavour).without_annotations().build(&[TarEntry::file("a", b"a")]);
    let mut blob = built.blob[..built.data_end as usize].to_vec();
    blob.extend(end(built.data_end));
    Built { blob, external_toc: None, ..built }
}

fn error(built: &Built) -> Error {
    open_layer(built, Verification::IfStated).expect_err("a blob that lies")
}

const TABLE: &[u8] = br#"{"version":1,"entries":[]}"#;

#[test]
fn footers_that_point_outside_of_the_blob() {
    for flavour in [Flavour::EStargz, Flavour::LegacyStargz] {
        let pointing = |offset: u64| ending(flavour, |_| [toc_member(TABLE), gzip_footer(flavour, offset)].concat());
        let size = pointing(0).blob.len() as u64;
        let footer = gzip_footer(flavour, 0).len() as u64;
        for offset in [0, size - footer, size, size + 1, u64::MAX, 1 << 63] {
            assert!(matches!(error(&pointing(offset)), Error::Footer { .. }), "{flavour:?} {offset}");
        }
        for inside in [1, size - footer - 1] {
            assert!(matches!(error(&pointing(inside)), Error::TocMalformed { .. }), "{flavour:?} {inside}");
        }
    }
}

#[test]
fn footers_with_other_digits_or_other_magic() {
    let with = |position: usize, byte: u8| {
        ending(Flavour::EStargz, |offset| {
            let mut footer = gzip_footer(Flavour::EStargz, offset);
            footer[position] = byte;
            [toc_member(TABLE), footer].concat()
        })
    };
    for byte in [b'A', b'g', b' ', b'+', 0xff] {
        assert!(matches!(error(&with(31, byte)), Error::Footer { .. }), "{byte}");
    }
    for position in [0, 1, 2, 3, 10, 12, 13, 14, 32, 37] {
        assert!(matches!(error(&with(position, 0)), Error::NotLazy { .. }), "{position}");
    }
}

#[test]
fn a_table_larger_than_accepted_is_not_even_asked_for() {
    let size = limits::MAX_TOC_COMPRESSED + 51 + 1000;
    let descriptor = oci::Descriptor { size, ..ending(Flavour::EStargz, |_| Vec::new()).descriptor() };
    let hints = estargz::LayerHints::new(&descriptor, []).unwrap();
    let mut opener = estargz::LayerOpener::new(hints, Verification::IfStated);
    let Ok(estargz::Progress::Need(range)) = opener.advance() else { panic!("nothing asked") };
    let mut tail = vec![0; range.len() as usize];
    let footer = gzip_footer(Flavour::EStargz, 999);
    let start = tail.len() - footer.len();
    tail[start..].copy_from_slice(&footer);
    assert!(matches!(opener.supply(tail), Err(Error::TocLimit { what: "compressed bytes", .. })));
}

#[test]
fn zstd_footers_that_lie() {
    let built = StargzWriter::new(Flavour::ZstdContainers).without_annotations().build(&[TarEntry::file("a", b"a")]);
    let payload = built.blob.len() - 64;
    let with = |field: usize, value: u64| {
        let mut blob = built.blob.clone();
        blob[payload + 8 * field..][..8].copy_from_slice(&value.to_le_bytes());
        Built { blob, ..built.clone() }
    };
    assert!(open_layer(&built, Verification::IfStated).is_ok());
    for (field, value) in [(0, 0), (0, 8), (0, u64::MAX), (1, 0), (1, u64::MAX), (1, 1 << 40), (3, 0), (3, 2)] {
        assert!(matches!(error(&with(field, value)), Error::Footer { .. }), "{field} {value}");
    }
    assert!(matches!(error(&with(2, limits::MAX_TOC_RAW + 1)), Error::TocLimit { .. }));
    for raw_len in [0, 1, 100, 100_000] {
        assert!(matches!(error(&with(2, raw_len)), Error::TocMalformed { .. }), "{raw_len}");
    }
    let mut other_length = built.clone();
    other_length.blob[payload - 4] = 63;
    assert!(matches!(error(&other_length), Error::NotLazy { .. }));
}

#[test]
fn tar_frames_that_lie() {
    let table =
        |tar: Vec<u8>| ending(Flavour::EStargz, |offset| [gzip(&tar), gzip_footer(Flavour::EStargz, offset)].concat());
    let length = TABLE.len() as u64;
    assert!(open_layer(&table(toc_tar("stargz.index.json", length, TABLE)), Verification::IfStated).is_ok());
    for name in ["stargz.index.jso", "./stargz.index.json", "x/stargz.index.json", "STARGZ.INDEX.JSON"] {
        assert!(matches!(error(&table(toc_tar(name, length, TABLE))), Error::TocMalformed { .. }), "{name}");
    }
    // Shorter, longer (into the padding, and past all there is).
    for stated in [0, 1, length - 1, length + 1, 1 << 20] {
        let found = error(&table(toc_tar("stargz.index.json", stated, TABLE)));
        assert!(matches!(found, Error::TocMalformed { .. }), "{stated}: {found}");
    }
    let bomb = error(&table(toc_tar("stargz.index.json", limits::MAX_TOC_RAW + 1, TABLE)));
    assert!(matches!(bomb, Error::TocLimit { what: "bytes of JSON", .. }), "{bomb}");
    for cut in [0, 1, 100, 511] {
        assert!(matches!(error(&table(vec![0; cut])), Error::TocMalformed { .. }), "{cut}");
    }
    let not_gzip = ending(Flavour::EStargz, |offset| [noise(500), gzip_footer(Flavour::EStargz, offset)].concat());
    assert!(matches!(error(&not_gzip), Error::TocMalformed { .. }));
}

/// An eStargz layer with one file of 100 bytes whose member is these bytes.
fn with_member(member: &[u8]) -> Built {
    let built = StargzWriter::new(Flavour::EStargz).build(&[TarEntry::file("a", noise(100))]);
    let start = built.toc["entries"][1]["offset"].as_u64().unwrap();
    let mut blob = built.blob[..start as usize].to_vec();
    blob.extend(member);
    let data_end = blob.len() as u64;
    blob.extend(toc_member(&serde_json::to_vec_pretty(&built.toc).unwrap()));
    blob.extend(gzip_footer(Flavour::EStargz, data_end));
    Built { blob, data_end, ..built }
}

#[test]
fn members_that_are_not_what_they_should_be() {
    let read = |member: &[u8]| {
        let reader = try_open(&with_member(member), Verification::Required).unwrap();
        content(&reader, "a")
    };
    assert_eq!(read(&gzip(&noise(100))).unwrap(), noise(100));
    assert_eq!(read(&gzip(&noise(5000))).unwrap(), noise(100));
    for (case, member) in [
        ("short", gzip(&noise(99))),
        ("nothing in it", gzip(&[])),
        ("in two members", [gzip(&noise(60)), gzip(&noise(100)[60..])].concat()),
        ("cut", gzip(&noise(100))[..50].to_vec()),
        ("only a header", gzip(&noise(100))[..10].to_vec()),
        ("not gzip", noise(200)),
        ("zstd", zstd::bulk::compress(&noise(100), 3).unwrap()),
    ] {
        let error = read(&member).expect_err(case);
        assert!(matches!(&error, Error::Chunk { path, offset: 0, .. } if path == "a"), "{case}: {error}");
    }
    assert!(matches!(read(&gzip(&noise(200)[100..])), Err(Error::Verification(_))));
}

#[test]
fn a_bomb_gives_no_more_than_the_chunk() {
    let mut bomb = noise(100);
    bomb.resize(50 << 20, 0);
    let built = with_member(&gzip(&bomb));
    let reader = try_open(&built, Verification::Required).unwrap();
    assert_eq!(content(&reader, "a").unwrap(), noise(100));
    let entry = reader.layer().toc().get("a").unwrap();
    let chunk = reader.layer().plan(entry).unwrap()[0];
    // What is fetched is bounded by what the payload can need, however far the next member is.
    assert!(chunk.range().unwrap().len() < 5000, "{chunk:?}");
    let mut decoder = reader.layer().decoder(entry, &chunk).unwrap();
    let mut given = Vec::new();
    assert_eq!(decoder.feed(&gzip(&bomb), &mut given).unwrap(), estargz::Fed::Done);
    assert_eq!(decoder.feed(&gzip(&bomb), &mut given).unwrap(), estargz::Fed::Done);
    assert_eq!(given, noise(100));
}

#[test]
fn a_zstd_frame_with_a_window_that_is_too_large_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(limits::MAX_ZSTD_WINDOW_LOG + 1).unwrap();
    encoder.write_all(&noise(100)).unwrap();
    let frame = encoder.finish().unwrap();
    let built = StargzWriter::new(Flavour::ZstdStargz).build(&[TarEntry::file("a", noise(100))]);
    let reader = try_open(&built, Verification::Required).unwrap();
    let entry = reader.layer().toc().get("a").unwrap();
    let chunk = reader.layer().plan(entry).unwrap()[0];
    let mut decoder = reader.layer().decoder(entry, &chunk).unwrap();
    assert!(matches!(decoder.feed(&frame, &mut Vec::new()), Err(Error::Chunk { .. })));
}
