//! What the tests share: images of lazily readable layers at a scriptable registry, and the program with folders of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use oci::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::image::{Blob, Image, Manifest};
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry};
use testkit::upstream::{FakeUpstream, Kind, Request};

/// The repository that images are put into.
pub(crate) const REPOSITORY: &str = "org/app";

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    testkit::image::blob(seed, length).to_vec()
}

/// A layer of eStargz with chunks of 64 KiB.
pub(crate) fn estargz(entries: &[TarEntry]) -> Built {
    StargzWriter::new(Flavour::EStargz).chunk_size(64 << 10).build(entries)
}

/// A registry with one image, `:1`, of these layers.
pub(crate) struct Served {
    pub(crate) upstream: FakeUpstream,
    pub(crate) layers: Vec<Built>,
}

impl Served {
    pub(crate) fn new(layers: Vec<Built>) -> Self {
        let upstream = FakeUpstream::start();
        upstream.add_image(REPOSITORY, "1", &image(&layers));
        Self { upstream, layers }
    }

    /// The image as it is typed.
    pub(crate) fn image(&self) -> String {
        format!("{}/{REPOSITORY}:1", self.upstream.host())
    }

    pub(crate) fn layer(&self, at: usize) -> Digest {
        self.layers[at].digest()
    }

    /// The requests for layers since the log was cleared, and the bytes that were sent for them.
    pub(crate) fn layer_traffic(&self) -> (usize, u64) {
        let requests = self.requests(Kind::Blob);
        (requests.len(), requests.iter().map(|request| request.bytes_sent).sum())
    }

    pub(crate) fn requests(&self, kind: Kind) -> Vec<Request> {
        self.upstream.requests().into_iter().filter(|request| request.kind() == kind).collect()
    }
}

/// An image of these layers, the lowest first.
pub(crate) fn image(layers: &[Built]) -> Image {
    let config = blob("application/vnd.oci.image.config.v1+json", b"{}");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let descriptors: Vec<Value> = layers.iter().map(Built::descriptor_json).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": config.media_type, "digest": config.digest.to_string(), "size": 2},
        "layers": descriptors,
    });
    let manifest = Manifest::from_bytes(kind, manifest.to_string());
    let blobs = layers.iter().map(|layer| blob(layer.media_type, &layer.blob));
    Image { manifest, blobs: std::iter::once(config.clone()).chain(blobs).collect(), children: Vec::new() }
}

fn blob(media_type: &str, bytes: &[u8]) -> Blob {
    Blob { media_type: media_type.to_owned(), digest: Digest::sha256_of(bytes), bytes: bytes.to_vec().into() }
}

/// The program, with folders of its own.
pub(crate) struct Starget {
    pub(crate) folder: TempDir,
}

impl Starget {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_starget"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("STARGET_CACHE_DIR", self.path("cache"))
            .env("STARGET_STATE_DIR", self.state())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran(self.command(words).output().unwrap())
    }
}

/// What a run left.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().expect("it was not killed")
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "{}{}", self.stdout(), self.stderr());
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        let text = self.stderr();
        assert_eq!(self.code(), code, "{}{text}", self.stdout());
        for word in words {
            assert!(text.contains(word), "no '{word}' in: {text}");
        }
        self
    }

    /// The object of `--json` on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let text = self.stderr();
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {text}"))["error"].take()
    }
}

/// Everything below a folder: path, kind, permissions, size of files, target of links.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, into: &mut Vec<String>) {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let kind = metadata.file_type();
            let shown = path.strip_prefix(root).unwrap().display();
            let what = if kind.is_dir() {
                "dir".to_owned()
            } else if kind.is_symlink() {
                format!("link {}", std::fs::read_link(&path).unwrap().display())
            } else if kind.is_fifo() {
                "fifo".to_owned()
            } else {
                format!("file {}", metadata.len())
            };
            into.push(format!("{shown} {what} {:o} {}", metadata.mode() & 0o7777, metadata.mtime()));
            if kind.is_dir() {
                walk(&path, root, into);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
