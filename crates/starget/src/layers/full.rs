//! Reads a layer whole that cannot be read in parts, because that was allowed.
//!
//! The compressed blob goes into a file without a name, is compared with its digest, and decompressed into another one.
//! Must not know paths. Invariant: nothing of a layer is shown before all of it matched its digest.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

use estargz::{LayerHints, NotLazy, OpenLayer};
use flate2::read::MultiGzDecoder;
use oci::{ByteRange, Digester};

use super::open::LayerState;
use super::source::{LayerSource, Remote};
use crate::error::StargetError;
use crate::output;

/// Most bytes a layer may have when it is decompressed, for each byte it has compressed: gzip's own bound.
const LARGEST_RATIO: u64 = 1032;

/// Fetches, verifies, decompresses and indexes the layer.
pub(super) async fn read(remote: &Remote, hints: LayerHints, why: &NotLazy) -> Result<LayerState, StargetError> {
    let (layer, size) = (hints.digest, hints.size);
    output::note(&format!("warning: reading all {size} bytes ({}) of layer {layer}: {why}", output::human_bytes(size)));
    let mut blob = tempfile()?;
    let mut digester = Digester::new(layer.algorithm());
    if let Some(range) = ByteRange::new(0, size) {
        let mut reader = remote.read(range);
        while let Some(piece) = reader.next().await? {
            digester.update(&piece);
            tokio::task::block_in_place(|| blob.write_all(&piece)).map_err(spooling)?;
        }
    }
    let found = digester.finish();
    if found != layer {
        return Err(StargetError::WrongLayer { expected: Box::new(layer), found: Box::new(found) });
    }
    tokio::task::block_in_place(|| index(blob, hints))
}

fn index(mut blob: File, hints: LayerHints) -> Result<LayerState, StargetError> {
    blob.rewind().map_err(spooling)?;
    let most = hints.size.saturating_mul(LARGEST_RATIO).max(1 << 20);
    let mut tar = tempfile()?;
    let kind = hints.media_type.as_str();
    let copied = if kind.ends_with("gzip") {
        std::io::copy(&mut MultiGzDecoder::new(BufReader::new(blob)).take(most), &mut tar)
    } else if kind.ends_with("zstd") {
        let decoder = zstd::stream::read::Decoder::new(blob).map_err(spooling)?;
        std::io::copy(&mut decoder.take(most), &mut tar)
    } else {
        std::io::copy(&mut blob.take(most), &mut tar)
    };
    copied.map_err(|source| StargetError::Stream { doing: "decompress a layer", source })?;
    tar.rewind().map_err(spooling)?;
    let layer = hints.digest;
    let open = OpenLayer::index_tar(hints, BufReader::new(&tar))
        .map_err(|source| StargetError::Layer { layer: Box::new(layer), source: Box::new(source) })?;
    Ok(LayerState::Open(std::sync::Arc::new(open), LayerSource::Local(tar)))
}

fn tempfile() -> Result<File, StargetError> {
    tempfile::tempfile().map_err(spooling)
}

fn spooling(source: std::io::Error) -> StargetError {
    StargetError::Stream { doing: "keep a layer in a temporary file", source }
}
