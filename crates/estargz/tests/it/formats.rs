//! Every format with every way to cut files into members: what was written is what is read.

use std::io::Write;

use estargz::{ChunkSource, Compression, EntryKind, Landmark, LayerFormat, Trust, Verification, ZstdDialect};
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry, gzip_footer, toc_member, toc_tar};

use crate::support::{Recorded, content, hints, noise, open, try_open};

fn entries() -> Vec<TarEntry> {
    let mut holed = noise(3000);
    holed.extend(vec![0; 4000]);
    holed.extend(noise(500));
    vec![
        TarEntry::directory("usr/"),
        TarEntry::file("usr/one", b"one").owner(1000, 1001, "someone", "others").modified(1_700_000_123),
        TarEntry::file("usr/two", b"two").owner(1000, 1001, "", "").mode(0o4755),
        TarEntry::file("usr/chunked", noise(10_000)),
        TarEntry::file("exact", noise(4000)),
        TarEntry::file("empty", b""),
        TarEntry::file("holed", holed),
        TarEntry::symlink("bin", "/usr/bin"),
        TarEntry::hardlink("again", "./usr/chunked"),
        TarEntry::char_device("dev/null"),
        TarEntry::fifo("dev/pipe"),
        TarEntry::file("deep/er/than/listed", b"deep").xattr("user.b", b"2").xattr("user.a", b"1"),
    ]
}

#[test]
fn all_that_was_written_is_read() {
    for flavour in Flavour::ALL {
        for (chunk_size, min_chunk_size) in [(4 << 20, 0), (1000, 0), (500, 0), (1000, 2500), (1000, 1 << 20)] {
            let writer = StargzWriter::new(flavour).chunk_size(chunk_size).min_chunk_size(min_chunk_size);
            let built = writer.build(&entries());
            let verification =
                if flavour == Flavour::LegacyStargz { Verification::IfStated } else { Verification::Required };
            let reader = try_open(&built, verification).unwrap();
            let case = format!("{flavour:?} {chunk_size} {min_chunk_size}");
            assert_eq!(content(&reader, "usr/one").unwrap(), b"one", "{case}");
            assert_eq!(content(&reader, "usr/two").unwrap(), b"two", "{case}");
            assert_eq!(content(&reader, "usr/chunked").unwrap(), noise(10_000), "{case}");
            assert_eq!(content(&reader, "again").unwrap(), noise(10_000), "{case}");
            assert_eq!(content(&reader, "exact").unwrap(), noise(4000), "{case}");
            assert_eq!(content(&reader, "empty").unwrap(), b"", "{case}");
            assert_eq!(content(&reader, "holed").unwrap()[3000..7000], [0; 4000], "{case}");
            assert_eq!(content(&reader, "deep/er/than/listed").unwrap(), b"deep", "{case}");
        }
    }
}

#[test]
fn formats_are_told_apart() {
    let format = |flavour| {
        let built = StargzWriter::new(flavour).without_annotations().build(&entries());
        let reader = open(&built);
        assert_eq!(reader.layer().trust(), Trust::Unstated);
        assert_eq!(reader.layer().data().unwrap().end, built.data_end, "{flavour:?}");
        reader.layer().format()
    };
    assert_eq!(format(Flavour::EStargz), LayerFormat::EStargz);
    assert_eq!(format(Flavour::LegacyStargz), LayerFormat::LegacyStargz);
    assert_eq!(format(Flavour::ExternalToc), LayerFormat::ExternalToc);
    assert_eq!(format(Flavour::ZstdStargz), LayerFormat::ZstdChunked(ZstdDialect::Stargz));
    assert_eq!(format(Flavour::ZstdContainers), LayerFormat::ZstdChunked(ZstdDialect::Containers));
    assert_eq!(LayerFormat::EStargz.compression(), Compression::Gzip);
    assert_eq!(LayerFormat::ExternalToc.name(), "estargz-external-toc");
}

#[test]
fn attributes_are_read() {
    let reader = open(&StargzWriter::new(Flavour::EStargz).build(&entries()));
    let get = |path| reader.layer().toc().get(path).unwrap();
    let two = get("usr/two");
    assert_eq!((two.mode(), two.uid(), two.gid()), (0o4755, 1000, 1001));
    // The table has the names only where the numbers first occur.
    assert_eq!((two.user_name(), two.group_name()), ("someone", "others"));
    assert_eq!((get("empty").user_name(), get("empty").uid()), ("", 0));
    let modified = get("usr/one").modified().unwrap();
    assert_eq!((modified.seconds, modified.nanoseconds), (1_700_000_123, 0));
    assert_eq!((get("bin").kind(), get("bin").link_target()), (EntryKind::Symlink, Some("/usr/bin")));
    assert_eq!(get("again").link_target(), Some("usr/chunked"));
    let device = get("dev/null").device().unwrap();
    assert_eq!((device.major, device.minor), (1, 3));
    assert_eq!(get("dev/pipe").kind(), EntryKind::Fifo);
    let deep = get("deep/er/than/listed");
    assert_eq!(deep.xattrs().collect::<Vec<_>>(), [("user.a", &b"1"[..]), ("user.b", b"2")]);
    assert_eq!(deep.name(), "listed");
    for implied in ["", "deep", "deep/er", "deep/er/than", "dev"] {
        assert!(get(implied).is_implied(), "{implied}");
        assert_eq!((get(implied).kind(), get(implied).mode()), (EntryKind::Directory, 0o755), "{implied}");
    }
    assert!(!get("usr").is_implied());
    let ids: Vec<_> = reader.layer().toc().entries().map(|entry| entry.id()).collect();
    assert!(ids.is_sorted() && ids.len() == 12 + 1 + 5, "{}", ids.len());
}

#[test]
fn a_table_may_write_modes_with_type_bits_and_names_in_other_forms() {
    let built = StargzWriter::new(Flavour::EStargz).build_with(&entries(), |toc| {
        toc["entries"][1]["mode"] = 0o040_755.into();
        toc["entries"][1]["name"] = "./usr//".into();
        toc["entries"][1]["NumLink"] = 0.into();
        toc["entries"][2]["name"] = "/usr/./one".into();
        toc["entries"][2]["modtime"] = "2001-02-03T04:05:06.5+01:00".into();
        toc["entries"][3]["modtime"] = "".into();
    });
    let reader = open(&built);
    let usr = reader.layer().toc().get("usr").unwrap();
    assert_eq!((usr.mode(), usr.is_implied()), (0o755, false));
    let one = reader.layer().toc().get("usr/one").unwrap().modified().unwrap();
    assert_eq!((one.seconds, one.nanoseconds), (981_169_506, 500_000_000));
    assert_eq!(reader.layer().toc().get("usr/two").unwrap().modified(), None);
}

#[test]
fn a_file_is_read_with_exactly_its_members() {
    let built = StargzWriter::new(Flavour::EStargz).chunk_size(4000).build(&entries());
    let source = Recorded::new(&built);
    let reader = estargz::LayerReader::open(source, hints(&built), Verification::Required).unwrap();
    let plan = reader.layer().plan(reader.layer().toc().get("usr/chunked").unwrap()).unwrap();
    let sizes: Vec<_> = plan.iter().map(|chunk| (chunk.file_offset, chunk.size)).collect();
    assert_eq!(sizes, [(0, 4000), (4000, 4000), (8000, 2000)]);
    let starts: Vec<u64> =
        built.toc["entries"].as_array().unwrap().iter().filter_map(|e| e["offset"].as_u64()).collect();
    for chunk in &plan {
        let range = chunk.range().unwrap();
        let next = starts.iter().copied().filter(|start| *start > range.start).min().unwrap();
        assert!(starts.contains(&range.start) && range.end == next, "{range}");
        let mut bytes = Vec::new();
        let entry = reader.layer().toc().get("usr/chunked").unwrap();
        reader.read_chunk(entry, chunk, &mut bytes).unwrap();
        assert_eq!(bytes, noise(10_000)[chunk.file_offset as usize..][..chunk.size as usize]);
    }
    // The last file's member ends where the table begins, not at the end of the blob.
    let last = reader.layer().plan(reader.layer().toc().get("deep/er/than/listed").unwrap()).unwrap();
    assert_eq!(last[0].range().unwrap().end, built.data_end);
}

#[test]
fn chunks_that_share_a_member_are_told_so() {
    let built = StargzWriter::new(Flavour::EStargz).min_chunk_size(1 << 20).build(&entries());
    let reader = open(&built);
    let member = |path| {
        let chunk = reader.layer().plan(reader.layer().toc().get(path).unwrap()).unwrap()[0];
        let ChunkSource::Member { range, inner_offset } = chunk.source else { panic!("not a hole") };
        (range.start, inner_offset)
    };
    assert_eq!(member("usr/one").0, member("usr/two").0);
    assert!(member("usr/one").1 < member("usr/two").1);
}

#[test]
fn holes_are_not_fetched() {
    let built = StargzWriter::new(Flavour::ZstdContainers).chunk_size(1000).build(&entries());
    let source = Recorded::new(&built);
    let reader = estargz::LayerReader::open(source, hints(&built), Verification::Required).unwrap();
    let entry = reader.layer().toc().get("holed").unwrap();
    let plan = reader.layer().plan(entry).unwrap();
    assert_eq!(plan.iter().filter(|chunk| chunk.range().is_none()).count(), 4);
    assert_eq!(content(&reader, "holed").unwrap().len(), 7500);
}

#[test]
fn landmarks_say_what_is_wanted_first() {
    let built = StargzWriter::new(Flavour::EStargz).prioritized(&["exact", "usr/one"]).build(&entries());
    let reader = open(&built);
    let Some(Landmark::Prefetch { end }) = reader.layer().toc().landmark() else { panic!("no landmark") };
    let start = |path| reader.layer().plan(reader.layer().toc().get(path).unwrap()).unwrap()[0].range().unwrap().start;
    assert!(start("exact") < end && start("usr/one") < end && start("usr/two") > end);
    let plain = open(&StargzWriter::new(Flavour::EStargz).build(&entries()));
    assert_eq!(plain.layer().toc().landmark(), Some(Landmark::NoPrefetch));
    assert_eq!(open(&StargzWriter::new(Flavour::ZstdStargz).build(&entries())).layer().toc().landmark(), None);
}

/// Writers that fill members up (`min-chunk-size`) put the first payload into the first member, behind its tar header.
#[test]
fn the_first_member_may_hold_a_payload_behind_its_header() {
    let payload = noise(100);
    let digest = oci::Digest::sha256_of(&payload).to_string();
    let table = |inner_offset: u64| {
        let entry = serde_json::json!({"name": "first", "type": "reg", "size": 100, "innerOffset": inner_offset,
            "digest": digest, "chunkDigest": digest});
        let json = serde_json::json!({"version": 1, "entries": [entry]}).to_string();
        let mut blob = toc_member_named("first", &payload);
        let data_end = blob.len() as u64;
        blob.extend(toc_member(json.as_bytes()));
        blob.extend(gzip_footer(Flavour::EStargz, data_end));
        Built { blob, data_end, ..StargzWriter::new(Flavour::EStargz).without_annotations().build(&[]) }
    };
    assert_eq!(content(&open(&table(512)), "first").unwrap(), payload);
    assert!(try_open(&table(511), Verification::IfStated).is_err());
}

fn toc_member_named(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&toc_tar(name, payload.len() as u64, payload)).unwrap();
    encoder.finish().unwrap()
}
