//! The chain of trust, broken at each link: the message names what is wrong, and switching verification off is the only way past.

use estargz::{Checked, Error, Fed, Verification, VerificationError};
use oci::Digest;
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry};

use crate::support::{content, noise, open, try_open};

fn chunked(flavour: Flavour) -> Built {
    StargzWriter::new(flavour).chunk_size(1000).build(&[TarEntry::file("dir/file", noise(2500))])
}

fn verification(error: Error) -> VerificationError {
    match error {
        Error::Verification(error) => *error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_changed_chunk_is_told_with_all_that_is_known() {
    for flavour in [Flavour::EStargz, Flavour::ExternalToc, Flavour::ZstdStargz, Flavour::ZstdContainers] {
        let other = StargzWriter::new(flavour).chunk_size(1000).build(&[TarEntry::file("dir/file", {
            let mut other = noise(2500);
            other[1700] ^= 1;
            other
        })]);
        // The data of one layer under the table of another: same sizes, one other bit. Its digest is the honest one's.
        let honest = chunked(flavour);
        assert_eq!(other.data_end, honest.data_end, "{flavour:?}");
        let data_end = honest.data_end as usize;
        let blob = [&other.blob[..data_end], &honest.blob[data_end..]].concat();
        let expected = Digest::sha256_of(&noise(2500)[1000..2000]);
        let mixed = Built { blob, ..honest };
        let reader = try_open(&mixed, Verification::Required).unwrap();
        let error = verification(content(&reader, "dir/file").unwrap_err());
        assert_eq!((error.checked, error.offset, error.expected), (Checked::Chunk, 1000, expected));
        assert_eq!((error.path.as_deref(), error.layer), (Some("dir/file"), mixed.digest()));
        let text = error.to_string();
        for part in
            ["dir/file", "byte 1000", &expected.to_string(), &error.found.to_string(), &mixed.digest().to_string()]
        {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        let reader = try_open(&mixed, Verification::Off).unwrap();
        assert_ne!(content(&reader, "dir/file").unwrap(), noise(2500));
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_member_never_gives_wrong_content() {
    for flavour in [Flavour::EStargz, Flavour::ZstdStargz] {
        let built = StargzWriter::new(flavour).build(&[TarEntry::file("a", b"some text that compresses, some text")]);
        for position in 0..built.data_end as usize {
            let mut blob = built.blob.clone();
            blob[position] ^= 0x10;
            let reader = try_open(&Built { blob, ..built.clone() }, Verification::Required).unwrap();
            match content(&reader, "a") {
                Ok(content) => assert_eq!(content, b"some text that compresses, some text", "{position}"),
                Err(Error::Verification(_) | Error::Chunk { .. }) => {}
                Err(other) => panic!("{position}: {other}"),
            }
        }
    }
}

#[test]
fn a_table_other_than_the_stated_one_is_told_as_that() {
    let built = chunked(Flavour::EStargz);
    let other = StargzWriter::new(Flavour::EStargz).build(&[TarEntry::file("dir/file", b"other")]);
    let swapped = Built { annotations: other.annotations, ..built.clone() };
    let error = verification(try_open(&swapped, Verification::Required).unwrap_err());
    assert_eq!((error.checked, error.path.as_deref()), (Checked::Toc, None));
    assert_eq!(error.layer, built.digest());
    assert!(try_open(&swapped, Verification::Off).is_ok());
    // Also when it does not even parse.
    let broken = StargzWriter::new(Flavour::EStargz).build_raw(&[], |_| b"{nonsense".to_vec());
    let broken = Built { annotations: built.annotations.clone(), ..broken };
    let error = verification(try_open(&broken, Verification::Required).unwrap_err());
    assert_eq!(error.checked, Checked::Toc);
    // The digest is of the exact JSON: a space more is another table.
    let spaced = StargzWriter::new(Flavour::EStargz)
        .chunk_size(1000)
        .build_raw(&[TarEntry::file("dir/file", noise(2500))], |toc| {
            [serde_json::to_vec_pretty(&toc).unwrap(), b" ".to_vec()].concat()
        });
    let spaced = Built { annotations: built.annotations, ..spaced };
    assert_eq!(verification(try_open(&spaced, Verification::Required).unwrap_err()).checked, Checked::Toc);
}

#[test]
fn the_checksum_of_zstd_is_of_the_compressed_table() {
    for (flavour, family) in [(Flavour::ZstdStargz, "io"), (Flavour::ZstdContainers, "io.github")] {
        let mut built = chunked(flavour);
        let checksum = format!("{family}.containers.zstd-chunked.manifest-checksum");
        built.annotations.insert(checksum, Digest::sha256_of(b"other").to_string());
        let error = verification(try_open(&built, Verification::Required).unwrap_err());
        assert_eq!(error.checked, Checked::CompressedToc);
    }
}

#[test]
fn the_whole_file_is_checked_where_chunks_have_no_digests() {
    let without = |digest: Option<Digest>| {
        StargzWriter::new(Flavour::EStargz).chunk_size(1000).build_with(&[TarEntry::file("f", noise(2500))], |toc| {
            for entry in toc["entries"].as_array_mut().unwrap() {
                entry.as_object_mut().unwrap().remove("chunkDigest");
            }
            match digest {
                Some(digest) => toc["entries"][1]["digest"] = digest.to_string().into(),
                None => drop(toc["entries"][1].as_object_mut().unwrap().remove("digest")),
            }
        })
    };
    let honest = open(&without(Some(Digest::sha256_of(&noise(2500)))));
    assert_eq!(content(&honest, "f").unwrap(), noise(2500));
    let wrong = open(&without(Some(Digest::sha256_of(b"other"))));
    let error = verification(content(&wrong, "f").unwrap_err());
    assert_eq!((error.checked, error.offset), (Checked::File, 0));
    let unstated = open(&without(None));
    assert!(matches!(content(&unstated, "f"), Err(Error::Unverifiable { .. })));
    let lenient = try_open(&without(None), Verification::IfStated).unwrap();
    assert_eq!(content(&lenient, "f").unwrap(), noise(2500));
}

#[test]
fn chunks_that_are_right_but_not_the_file_are_noticed() {
    let built =
        StargzWriter::new(Flavour::EStargz).chunk_size(1000).build_with(&[TarEntry::file("f", noise(2500))], |toc| {
            toc["entries"][1]["digest"] = Digest::sha256_of(b"other").to_string().into();
        });
    let error = verification(content(&open(&built), "f").unwrap_err());
    assert_eq!((error.checked, error.path.as_deref()), (Checked::File, Some("f")));
}

#[test]
fn members_may_come_in_pieces_of_any_size() {
    for flavour in Flavour::ALL {
        let text = b"some text ".repeat(20_000);
        let built = StargzWriter::new(flavour)
            .chunk_size(70_000)
            .build(&[TarEntry::file("noise", noise(70_001)), TarEntry::file("text", &text)]);
        let reader = try_open(&built, Verification::IfStated).unwrap();
        for (path, expected) in [("noise", &noise(70_001)), ("text", &text)] {
            let entry = reader.layer().toc().get(path).unwrap();
            for size in [1, 7, 4096, usize::MAX] {
                let mut content = Vec::new();
                for chunk in reader.layer().plan(entry).unwrap() {
                    let range = chunk.range().unwrap();
                    let bytes = &built.blob[range.start as usize..range.end as usize];
                    let mut decoder = reader.layer().decoder(entry, &chunk).unwrap();
                    let before = content.len();
                    for piece in bytes.chunks(size) {
                        if decoder.feed(piece, &mut content).unwrap() == Fed::Done {
                            break;
                        }
                    }
                    assert_eq!((content.len() - before) as u64, chunk.size, "{flavour:?} {path} {size}");
                    assert_eq!(decoder.remaining(), 0);
                    decoder.finish().unwrap();
                }
                assert!(content == *expected, "{flavour:?} {path} {size}");
            }
        }
    }
}

#[test]
fn a_sink_that_fails_is_an_error_of_its_own() {
    let built = chunked(Flavour::EStargz);
    let reader = open(&built);
    let entry = reader.layer().toc().get("dir/file").unwrap();
    let mut full: &mut [u8] = &mut [0; 10];
    assert!(matches!(reader.read_file(entry, &mut full), Err(Error::Io(_))));
}
