//! The data of a layer: a tar, compressed in members that begin where payloads do, and the entries of its table.
//!
//! Must not know footers. Invariant: all members together decompress to the tar.

use std::collections::HashSet;
use std::io::Write;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use oci::Digest;
use serde_json::{Map, Value, json};
use tar::EntryType;

use super::{Flavour, TarEntry};

/// Compresses `bytes` as one member.
pub(super) fn compress(is_zstd: bool, bytes: &[u8]) -> Vec<u8> {
    if is_zstd {
        return zstd::bulk::compress(bytes, 3).expect("memory is all it needs");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory is all it needs")
}

pub(super) struct Members {
    flavour: Flavour,
    chunk_size: usize,
    min_chunk_size: usize,
    /// Finished members.
    data: Vec<u8>,
    /// What the open member has, uncompressed.
    open: Vec<u8>,
    /// Whether the open member began with a payload.
    has_payload: bool,
    listed: Vec<Value>,
    named: HashSet<(bool, u64)>,
}

impl Members {
    pub(super) fn new(flavour: Flavour, chunk_size: usize, min_chunk_size: usize) -> Self {
        let (data, open, listed, named) = (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
        Self { flavour, chunk_size, min_chunk_size, data, open, has_payload: false, listed, named }
    }

    pub(super) fn add(&mut self, entry: &TarEntry) {
        self.open.extend(entry.header());
        let mut fields = self.fields(entry);
        if entry.kind == EntryType::Regular && !self.is_legacy() {
            fields.insert("digest".to_owned(), json!(Digest::sha256_of(&entry.content).to_string()));
        }
        if entry.content.is_empty() {
            self.listed.push(Value::Object(fields));
            return;
        }
        let main = self.listed.len();
        let chunks = entry.content.chunks(self.chunk_size).count();
        for (number, chunk) in entry.content.chunks(self.chunk_size).enumerate() {
            self.chunk(&mut fields, number * self.chunk_size, chunk, chunks);
            self.listed.push(Value::Object(std::mem::take(&mut fields)));
            fields = Map::from_iter([("name".to_owned(), json!(entry.name)), ("type".to_owned(), json!("chunk"))]);
        }
        if self.flavour.is_zstd() {
            self.close();
        }
        if self.flavour == Flavour::ZstdContainers {
            self.listed[main]["endOffset"] = json!(self.data.len());
        }
        self.open.extend(vec![0; entry.content.len().next_multiple_of(512) - entry.content.len()]);
    }

    /// Ends the tar and gives the data and the entries of the table.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<Value>) {
        if self.flavour.is_zstd() || self.flavour == Flavour::ExternalToc {
            self.open.extend([0; 1024]);
        }
        self.close();
        (self.data, self.listed)
    }

    fn is_legacy(&self) -> bool {
        self.flavour == Flavour::LegacyStargz
    }

    fn chunk(&mut self, fields: &mut Map<String, Value>, offset: usize, chunk: &[u8], chunks: usize) {
        if !self.has_payload || self.open.len() >= self.min_chunk_size {
            self.close();
            self.has_payload = true;
        }
        let inner = self.open.len();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("offset", json!(self.data.len()));
        if inner > 0 {
            set("innerOffset", json!(inner));
        }
        if offset > 0 {
            set("chunkOffset", json!(offset));
        }
        if chunk.len() == self.chunk_size || (chunks > 1 && self.flavour == Flavour::ZstdContainers) {
            set("chunkSize", json!(chunk.len()));
        }
        if self.flavour == Flavour::ZstdContainers && chunk.iter().all(|byte| *byte == 0) && chunk.len() > 512 {
            set("chunkType", json!("zeros"));
        } else if !self.is_legacy() && (chunks > 1 || self.flavour != Flavour::ZstdContainers) {
            set("chunkDigest", json!(Digest::sha256_of(chunk).to_string()));
        }
        self.open.extend(chunk);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.data.extend(compress(self.flavour.is_zstd(), &self.open));
            self.open.clear();
        }
        self.has_payload = false;
    }

    fn fields(&mut self, entry: &TarEntry) -> Map<String, Value> {
        let kind = match entry.kind {
            EntryType::Directory => "dir",
            EntryType::Symlink => "symlink",
            EntryType::Link => "hardlink",
            EntryType::Char => "char",
            EntryType::Fifo => "fifo",
            _ => "reg",
        };
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("name", json!(entry.name));
        set("type", json!(kind));
        set("mode", json!(entry.mode));
        set("modtime", json!(time(entry.seconds)));
        for (name, is_set, value) in [
            ("size", !entry.content.is_empty(), json!(entry.content.len())),
            ("linkName", !entry.link.is_empty(), json!(entry.link)),
            ("uid", entry.owner.0 > 0, json!(entry.owner.0)),
            ("gid", entry.owner.1 > 0, json!(entry.owner.1)),
            ("devMajor", kind == "char", json!(1)),
            ("devMinor", kind == "char", json!(3)),
            // Only on the first entry with the number, as the reference writer does.
            ("userName", self.named.insert((true, entry.owner.0)), json!(entry.names.0)),
            ("groupName", self.named.insert((false, entry.owner.1)), json!(entry.names.1)),
        ] {
            if is_set && value != json!("") {
                set(name, value);
            }
        }
        if !entry.xattrs.is_empty() {
            let encode = |value: &[u8]| json!(base64::engine::general_purpose::STANDARD.encode(value));
            let xattrs = entry.xattrs.iter().map(|(name, value)| (name.clone(), encode(value)));
            set("xattrs", Value::Object(xattrs.collect()));
        }
        fields
    }
}

/// RFC 3339, for seconds of one known day: tests need times that differ, not a calendar.
fn time(seconds: u64) -> String {
    let since = seconds.checked_sub(1_699_920_000).filter(|since| *since < 86_400);
    let since = since.expect("tests use times on 2023-11-14");
    format!("2023-11-14T{:02}:{:02}:{:02}Z", since / 3600, since / 60 % 60, since % 60)
}
