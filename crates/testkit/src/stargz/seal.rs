//! The end of a layer: its table, its footer, and the annotations that go with them.
//!
//! Must not know how the data was made.

use std::collections::BTreeMap;

use oci::Digest;
use serde_json::Value;

use super::members::compress;
use super::{Built, Flavour};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

pub(super) fn seal(flavour: Flavour, data: Vec<u8>, raw_toc: &[u8], toc: Value) -> Built {
    let data_end = data.len() as u64;
    let media_type = if flavour.is_zstd() { ZSTD } else { GZIP };
    let mut built = Built { blob: data, media_type, annotations: BTreeMap::new(), toc, data_end, external_toc: None };
    let digest = Digest::sha256_of(raw_toc).to_string();
    match flavour {
        Flavour::EStargz | Flavour::LegacyStargz => {
            built.blob.extend(toc_member(raw_toc));
            built.blob.extend(gzip_footer(flavour, data_end));
        }
        Flavour::ExternalToc => {
            built.external_toc = Some(toc_member(raw_toc));
            built.blob.extend(gzip_footer(flavour, data_end));
        }
        Flavour::ZstdStargz => zstd_end(&mut built, raw_toc, "io.containers.zstd-chunked", None),
        Flavour::ZstdContainers => zstd_end(&mut built, raw_toc, "io.github.containers.zstd-chunked", Some(b"split")),
    }
    if !matches!(flavour, Flavour::LegacyStargz | Flavour::ZstdContainers) {
        built.annotations.insert(TOC_DIGEST.to_owned(), digest);
    }
    built
}

/// The table as a tar entry in a gzip member.
pub fn toc_member(raw_toc: &[u8]) -> Vec<u8> {
    compress(false, &toc_tar("stargz.index.json", raw_toc.len() as u64, raw_toc))
}

/// A tar with one entry, whose header may lie about the size.
pub fn toc_tar(name: &str, stated_size: u64, raw_toc: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(stated_size);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend(raw_toc);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// The footer of a gzip flavour.
pub fn gzip_footer(flavour: Flavour, toc_offset: u64) -> Vec<u8> {
    let subfield = format!("{toc_offset:016x}STARGZ");
    let (extra, payload) = match flavour {
        Flavour::LegacyStargz => (Vec::new(), subfield.into_bytes()),
        Flavour::ExternalToc => (b"SG\x11\0".to_vec(), b"STARGZEXTERNALTOC".to_vec()),
        Flavour::EStargz | Flavour::ZstdStargz | Flavour::ZstdContainers => {
            (b"SG\x16\0".to_vec(), subfield.into_bytes())
        }
    };
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
    footer.extend(((extra.len() + payload.len()) as u16).to_le_bytes());
    footer.extend(extra);
    footer.extend(payload);
    footer.extend([1, 0, 0, 0xff, 0xff]);
    footer.extend([0; 8]);
    footer
}

fn skippable(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x50, 0x2a, 0x4d, 0x18];
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(payload);
    frame
}

fn zstd_end(built: &mut Built, raw_toc: &[u8], prefix: &str, tar_split: Option<&[u8]>) {
    let compressed = compress(true, raw_toc);
    let offset = built.blob.len() as u64 + 8;
    built.blob.extend(skippable(&compressed));
    let mut numbers = vec![offset, compressed.len() as u64, raw_toc.len() as u64, 1];
    let position = format!("{offset}:{}:{}:1", compressed.len(), raw_toc.len());
    built.annotations.insert(format!("{prefix}.manifest-position"), position);
    built.annotations.insert(format!("{prefix}.manifest-checksum"), Digest::sha256_of(&compressed).to_string());
    let mut magic = *b"GnUlInUx";
    if let Some(raw) = tar_split {
        let compressed = compress(true, raw);
        let offset = built.blob.len() as u64 + 8;
        built.blob.extend(skippable(&compressed));
        numbers.extend([offset, compressed.len() as u64, raw.len() as u64]);
        let position = format!("{offset}:{}:{}", compressed.len(), raw.len());
        built.annotations.insert(format!("{prefix}.tarsplit-position"), position);
        magic = *b"GNUlInUx";
    }
    let mut footer: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    footer.extend(magic);
    built.blob.extend(skippable(&footer));
}
