//! Opening layers: how many requests, of what, and what is said when a layer cannot be opened.

use estargz::{Error, LayerHints, LayerOpener, NotLazy, Progress, RawToc, Trust, Verification};
use oci::ByteRange;
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry};

use crate::support::{hints, noise, open, open_layer, try_open};

/// All requests until the layer is open, and its table for a cache.
fn requests(built: &Built) -> (Vec<ByteRange>, RawToc) {
    let mut opener = LayerOpener::new(hints(built), Verification::Required);
    let mut asked = Vec::new();
    loop {
        match opener.advance().unwrap() {
            Progress::Need(range) => {
                asked.push(range);
                opener.supply(built.blob[range.start as usize..range.end as usize].to_vec()).unwrap();
            }
            Progress::Ready(ready) => return (asked, ready.raw),
            Progress::NotLazy(reason) => panic!("{reason}"),
        }
    }
}

fn files(count: usize) -> Vec<TarEntry> {
    (0..count).map(|number| TarEntry::file(&format!("file-{number}"), number.to_string())).collect()
}

#[test]
fn a_small_table_takes_one_request() {
    let built = StargzWriter::new(Flavour::EStargz).build(&[TarEntry::file("noise", noise(200_000))]);
    let size = built.blob.len() as u64;
    assert_eq!(requests(&built).0, [ByteRange { start: size - 64 * 1024, end: size }]);
    let tiny = StargzWriter::new(Flavour::EStargz).build(&[]);
    assert_eq!(requests(&tiny).0, [ByteRange { start: 0, end: tiny.blob.len() as u64 }]);
}

#[test]
fn a_table_past_the_guess_takes_one_more_request_for_the_rest() {
    let built = StargzWriter::new(Flavour::EStargz).build(&files(3000));
    let size = built.blob.len() as u64;
    let (asked, raw) = requests(&built);
    let tail = ByteRange { start: size - 64 * 1024, end: size };
    assert_eq!(asked, [tail, ByteRange { start: built.data_end, end: tail.start }]);
    assert_eq!(raw.compressed_len(), size - 51 - built.data_end);
    assert_eq!(open(&built).layer().toc_len(), raw.compressed_len());
}

#[test]
fn the_guess_grows_with_the_blob_up_to_four_mebibytes() {
    let guess = |size: u64| {
        let descriptor = oci::Descriptor { size, ..StargzWriter::new(Flavour::EStargz).build(&[]).descriptor() };
        let hints = LayerHints::new(&descriptor, []).unwrap();
        let mut opener = LayerOpener::new(hints, Verification::Required);
        let Progress::Need(range) = opener.advance().unwrap() else { panic!("nothing asked") };
        assert_eq!(range.end, size);
        range.len()
    };
    assert_eq!(guess(1000), 1000);
    assert_eq!(guess(1_000_000), 65_536);
    assert_eq!(guess(100_000_000), 600_000);
    assert_eq!(guess(10_000_000_000), 4 << 20);
    assert_eq!(guess(1 << 53), 4 << 20);
}

#[test]
fn annotated_zstd_takes_exactly_its_table() {
    for flavour in [Flavour::ZstdStargz, Flavour::ZstdContainers] {
        let built = StargzWriter::new(flavour).build(&files(3000));
        let (asked, raw) = requests(&built);
        assert_eq!(asked, [ByteRange { start: built.data_end + 8, end: built.data_end + 8 + raw.compressed_len() }]);
    }
}

#[test]
fn a_kept_table_opens_without_the_blob() {
    for flavour in [Flavour::EStargz, Flavour::ZstdStargz, Flavour::ZstdContainers] {
        let built = StargzWriter::new(flavour).build(&files(10));
        let kept = requests(&built).1.to_bytes();
        let raw = RawToc::from_bytes(&kept).unwrap();
        let layer = LayerOpener::reopen(hints(&built), Verification::Required, &raw).unwrap();
        assert_eq!((layer.trust(), layer.format()), (Trust::Verified, open(&built).layer().format()));
        assert_eq!(layer.toc().entries().len(), open(&built).layer().toc().entries().len());
        assert_eq!(layer.data(), open(&built).layer().data());
    }
}

#[test]
fn a_kept_table_that_is_damaged_or_of_another_blob_is_refused() {
    let built = StargzWriter::new(Flavour::EStargz).build(&files(10));
    let kept = requests(&built).1.to_bytes();
    let reopen = |bytes: &[u8], hints: LayerHints| {
        LayerOpener::reopen(hints, Verification::Required, &RawToc::from_bytes(bytes)?)
    };
    for length in [0, 7, 39] {
        assert!(matches!(reopen(&kept[..length], hints(&built)), Err(Error::RawToc { .. })), "{length}");
    }
    for position in [0, 7, 8, 15] {
        let mut damaged = kept.clone();
        damaged[position] ^= 0x40;
        assert!(matches!(reopen(&damaged, hints(&built)), Err(Error::RawToc { .. })), "{position}");
    }
    let larger = LayerHints { size: built.blob.len() as u64 + 1, ..hints(&built) };
    assert!(matches!(reopen(&kept, larger), Err(Error::RawToc { .. })));
    let other = StargzWriter::new(Flavour::EStargz).build(&files(11));
    let other = LayerHints { toc_digest: hints(&other).toc_digest, ..hints(&built) };
    assert!(matches!(reopen(&kept, other), Err(Error::Verification(_))));
    for position in 40..kept.len() {
        let mut damaged = kept.clone();
        damaged[position] ^= 1;
        let result = reopen(&damaged, hints(&built));
        // A flipped bit in the gzip header or in the padding of the tar changes nothing that is said.
        let says_the_same = result.as_ref().is_ok_and(|layer| layer.toc().entries().len() == 12);
        assert!(
            says_the_same || matches!(result, Err(Error::Verification(_) | Error::TocMalformed { .. })),
            "{position}: {result:?}"
        );
    }
}

#[test]
fn plain_layers_say_why_they_are_not_lazy() {
    let built = StargzWriter::new(Flavour::EStargz).build(&files(3));
    let reason = |built: &Built| match open_layer(built, Verification::Required) {
        Err(Error::NotLazy { layer, reason }) => {
            assert_eq!(layer, built.digest());
            reason
        }
        other => panic!("{other:?}"),
    };
    let plain = Built { blob: built.blob[..built.data_end as usize].to_vec(), ..built.clone() };
    assert_eq!(reason(&plain), NotLazy::FooterLost);
    let unannotated = Built { annotations: std::collections::BTreeMap::default(), ..plain };
    assert_eq!(reason(&unannotated), NotLazy::NoFooter);
    assert_eq!(reason(&Built { blob: Vec::new(), ..unannotated.clone() }), NotLazy::NoFooter);
    let tar = Built { media_type: "application/vnd.oci.image.layer.v1.tar", ..unannotated.clone() };
    assert_eq!(reason(&tar), NotLazy::Uncompressed);
    let other = Built { media_type: "application/vnd.in-toto+json", ..unannotated };
    assert!(matches!(reason(&other), NotLazy::OtherMediaType { .. }));
    let external = StargzWriter::new(Flavour::ExternalToc).build(&files(3));
    assert_eq!(reason(&Built { external_toc: None, ..external }), NotLazy::ExternalTocMissing);
}

#[test]
fn an_external_table_is_verified_like_any_other() {
    let built = StargzWriter::new(Flavour::ExternalToc).build(&files(3));
    assert_eq!(open(&built).layer().trust(), Trust::Verified);
    let other = StargzWriter::new(Flavour::ExternalToc).build(&files(4));
    let swapped = Built { external_toc: other.external_toc, ..built };
    assert!(matches!(open_layer(&swapped, Verification::Required), Err(Error::Verification(_))));
}

#[test]
fn without_a_stated_digest_only_a_caller_who_says_so_goes_on() {
    let built = StargzWriter::new(Flavour::EStargz).without_annotations().build(&files(3));
    assert!(matches!(try_open(&built, Verification::Required), Err(Error::NoTocDigest { .. })));
    assert_eq!(try_open(&built, Verification::IfStated).unwrap().layer().trust(), Trust::Unstated);
    assert_eq!(try_open(&built, Verification::Off).unwrap().layer().trust(), Trust::Unchecked);
}

#[test]
fn other_bytes_than_asked_for_are_refused() {
    let built = StargzWriter::new(Flavour::EStargz).build(&files(3));
    let mut opener = LayerOpener::new(hints(&built), Verification::Required);
    for wrong in [built.blob.len() - 1, built.blob.len() + 1, 0] {
        assert!(matches!(opener.supply(vec![0; wrong]), Err(Error::WrongLength { .. })));
    }
    assert!(matches!(opener.supply_external_toc(vec![1]), Err(Error::WrongLength { .. })));
    opener.supply(built.blob.clone()).unwrap();
    assert!(matches!(opener.supply(built.blob.clone()), Err(Error::WrongLength { .. })));
    assert!(matches!(opener.advance(), Ok(Progress::Ready(_))));
    assert!(matches!(opener.advance(), Err(Error::WrongLength { .. })));
}

#[test]
fn malformed_and_contradictory_annotations_are_errors() {
    const OLD: &str = "io.containers.zstd-chunked.manifest-position";
    const NEW: &str = "io.github.containers.zstd-chunked.manifest-position";
    let built = StargzWriter::new(Flavour::ZstdStargz).build(&files(3));
    let parse = |annotations: &[(&str, &str)]| LayerHints::new(&built.descriptor(), annotations.iter().copied());
    let size = built.blob.len();
    assert!(parse(&[(OLD, "8:1:1:1")]).is_ok() && parse(&[(NEW, "8:1:1:1"), ("other", "x")]).is_ok());
    let past_the_end = format!("8:{size}:1:1");
    for position in
        ["", "8", "8:1", "8:1:1:2", "8:1:1:1:1", "-8:1:1:1", "+8:1:1:1", "7:1:1:1", "8:0:1:1", &past_the_end]
    {
        assert!(matches!(parse(&[(OLD, position)]), Err(Error::Annotation { key: OLD, .. })), "{position}");
    }
    assert!(matches!(parse(&[(OLD, "18446744073709551615:9:1:1")]), Err(Error::Annotation { .. })));
    assert!(matches!(parse(&[(OLD, "8:1:157286401:1")]), Err(Error::TocLimit { .. })));
    assert!(matches!(parse(&[(OLD, "8:1:1:1"), (NEW, "8:1:1:1")]), Err(Error::Annotation { .. })));
    for digest in ["", "sha256:", "md5:00", "sha256:zz"] {
        assert!(parse(&[("containerd.io/snapshot/stargz/toc.digest", digest)]).is_err(), "{digest}");
        assert!(parse(&[(OLD, "8:1:1:1"), ("io.containers.zstd-chunked.manifest-checksum", digest)]).is_err());
    }
    assert!(parse(&[("io.containers.estargz.uncompressed-size", "12x")]).is_err());
}
