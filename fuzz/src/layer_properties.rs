//! Properties of the reader of lazily readable layers: whatever a layer says, what is accepted hangs together, and no decoder
//! gives out other bytes than a plain decompressor finds.
//!
//! Compiled twice: into the fuzz targets and into the tests of `estargz`, which replay the seeds. Invariant: a function panics only
//! when a property does not hold.

use std::io::{Read, Write};
use std::sync::Arc;

use estargz::{
    Chunk, ChunkSource, EntryKind, Error, Fed, FollowLast, ImageTree, LayerHints, LayerOpener, OpenLayer, Progress,
    RawToc, Verification, limits,
};
use oci::{Descriptor, Digest};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

fn hints(media_type: &str, size: u64) -> LayerHints {
    let media_type = media_type.parse().expect("a media type");
    LayerHints::new(&Descriptor { media_type, digest: Digest::sha256_of(b""), size }, []).expect("no annotations")
}

/// A whole blob: footers, positions, the frame of the table, and whatever follows from them.
pub fn layer_footer(data: &[u8]) {
    let Some((choice, blob)) = data.split_first() else { return };
    let media_type = if choice % 2 == 0 { GZIP } else { ZSTD };
    let size = blob.len() as u64;
    let mut opener = LayerOpener::new(hints(media_type, size), Verification::IfStated);
    for _request in 0..3 {
        match opener.advance() {
            Ok(Progress::Need(range)) => {
                assert!(range.start < range.end && range.end <= size, "{range} of {size}");
                let asked = blob[range.start as usize..range.end as usize].to_vec();
                if let Err(error) = opener.supply(asked) {
                    return said(&error);
                }
            }
            Ok(Progress::Ready(ready)) => {
                let again = RawToc::from_bytes(&ready.raw.to_bytes()).expect("what we wrote");
                assert!(again == ready.raw, "a table changes by being kept");
                return hangs_together(ready.layer);
            }
            Ok(Progress::NotLazy(reason)) => return assert!(reason.to_string().len() < 1000),
            Err(error) => return said(&error),
        }
    }
    panic!("more than two requests");
}

/// The JSON of a table, of a blob of a million bytes.
pub fn layer_toc(data: &[u8]) {
    let Some((choice, json)) = data.split_first() else { return };
    match open(*choice, json, 1_000_000) {
        Ok(layer) => hangs_together(layer),
        Err(error) => said(&error),
    }
}

/// A member of a blob, and a chunk in it: `compression, piece, inner offset, size (two bytes)` and the member.
pub fn layer_chunk(data: &[u8]) {
    let Some(([choice, piece, inner, low, high], member)) = data.split_first_chunk() else { return };
    let (size, inner) = (u64::from(u16::from_le_bytes([*low, *high])), u64::from(*inner));
    if member.is_empty() || size == 0 {
        return;
    }
    let json = format!(
        r#"{{"version":1,"entries":[{{"name":"f","type":"reg","size":{size},"offset":1000,"innerOffset":{inner}}}]}}"#
    );
    let layer = match open(*choice, json.as_bytes(), 1000 + member.len() as u64) {
        Ok(layer) => layer,
        Err(error) => return said(&error),
    };
    let entry = layer.toc().get("f").expect("the only file");
    let chunks = layer.plan(entry).expect("a file");
    let [chunk @ Chunk { source: ChunkSource::Member { range, .. }, .. }] = &chunks[..] else { panic!("{chunks:?}") };
    assert!(range.start == 1000 && range.len() <= member.len() as u64);
    let mut decoder = layer.decoder(entry, chunk).expect("memory");
    let mut given = Vec::new();
    for bytes in member[..range.len() as usize].chunks(usize::from(*piece).max(1)) {
        match decoder.feed(bytes, &mut given) {
            Ok(Fed::More) => {}
            Ok(Fed::Done) => break,
            Err(error) => return said(&error),
        }
        assert!(given.len() as u64 + decoder.remaining() == size, "bytes are lost or made up");
    }
    assert!(given.len() as u64 <= size);
    if decoder.finish().is_ok() {
        assert!(given.len() as u64 == size);
        assert!(given.starts_with(&plainly(*choice, member, inner, size)), "not what a plain decompressor finds");
    }
}

fn is_zstd(choice: u8) -> bool {
    choice % 2 == 1
}

/// The payload, or its beginning, as a decompressor that knows nothing of chunks finds it.
fn plainly(choice: u8, member: &[u8], inner: u64, size: u64) -> Vec<u8> {
    let mut found = Vec::new();
    let reader: Box<dyn Read + '_> = if is_zstd(choice) {
        Box::new(zstd::stream::read::Decoder::with_buffer(member).expect("memory").single_frame())
    } else {
        Box::new(flate2::bufread::GzDecoder::new(member))
    };
    // The member may be damaged after the payload: a decompressor may come upon that before it gives out the last bytes.
    let _ = reader.take(inner + size).read_to_end(&mut found);
    found.drain(..found.len().min(inner as usize));
    found
}

/// A layer with this table, in the format that `choice` names.
fn open(choice: u8, json: &[u8], data_end: u64) -> Result<OpenLayer, Error> {
    let (code, table) = if is_zstd(choice) {
        (5_u64, zstd::bulk::compress(json, -7).expect("memory"))
    } else {
        (1, stored_member(json))
    };
    let size = data_end + 1000;
    let mut kept = b"esgztoc\x01".to_vec();
    for number in [code, size, data_end, json.len() as u64] {
        kept.extend(number.to_le_bytes());
    }
    kept.extend(table);
    LayerOpener::reopen(hints(GZIP, size), Verification::IfStated, &RawToc::from_bytes(&kept)?)
}

fn stored_member(json: &[u8]) -> Vec<u8> {
    let mut tar = vec![0; 512];
    tar[..17].copy_from_slice(b"stargz.index.json");
    tar[124..135].copy_from_slice(format!("{:011o}", json.len()).as_bytes());
    tar[156] = b'0';
    tar.extend(json);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&tar).expect("memory");
    encoder.finish().expect("memory")
}

/// What must be true of every layer that is accepted.
fn hangs_together(layer: OpenLayer) {
    let data_end = layer.data().map_or(0, |data| data.end);
    let mut previous: Option<&str> = None;
    for entry in layer.toc().entries() {
        let path = entry.path();
        assert!(path.len() <= limits::MAX_PATH && !path.contains('\0'), "{path:?}");
        assert!(path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
        let in_order = previous.is_none_or(|previous| previous.split('/').lt(path.split('/')) || previous.is_empty());
        assert!(in_order, "{previous:?} before {path:?}");
        previous = Some(path);
        assert_eq!(layer.toc().get(path).map(|found| found.id()), Some(entry.id()));
        if let Some((parent, _)) = path.rsplit_once('/') {
            let parent = layer.toc().get(parent).expect("every parent is there");
            assert_eq!(parent.kind(), EntryKind::Directory, "{path:?}");
        }
        match layer.plan(entry) {
            Ok(chunks) => tiles(&chunks, entry.size(), data_end),
            Err(error) => assert!(entry.kind() != EntryKind::File, "{error}"),
        }
        if let Err(error) = layer.toc().follow_hardlinks(entry) {
            said(&error);
        }
    }
    let layer = Arc::new(layer);
    let tree = ImageTree::merge(vec![Arc::clone(&layer), layer]).expect("two layers");
    for node in tree.walk() {
        let whiteout = node.path().split('/').any(|part| part.starts_with(".wh."));
        assert!(!whiteout, "a whiteout shows: {:?}", node.path());
        let found = tree.resolve(node.path(), FollowLast::No).expect("a path of the tree");
        assert_eq!(found.path(), node.path());
        match tree.resolve(node.path(), FollowLast::Yes) {
            Ok(end) => assert!(tree.get(end.path()).is_some()),
            Err(error) => said(&error),
        }
        assert!(node.children().count() <= node.descendants().count());
    }
}

fn tiles(chunks: &[Chunk], size: u64, data_end: u64) {
    let mut at = 0;
    for chunk in chunks {
        assert_eq!(chunk.file_offset, at);
        assert!(chunk.size > 0);
        at += chunk.size;
        if let Some(range) = chunk.range() {
            assert!(range.start < range.end && range.end <= data_end, "{range} past {data_end}");
        }
    }
    assert_eq!(at, size);
}

/// Errors quote what layers say: never at length, never as it is.
fn said(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 3000, "an error of {} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}
