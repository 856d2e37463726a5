//! Layouts that grow, are cut short and packed; docker's older archives with links in them.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use oci::{Descriptor, Digest, ManifestFacts, MediaType};
use tempfile::tempdir;
use transship_image_archive::{ArchiveError, DockerImage, Entry, ImageFiles, LayoutWriter, pack};

const TYPE: MediaType = MediaType::OCTET_STREAM;

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: TYPE, digest: Digest::sha256_of(bytes), size: bytes.len() as u64 }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_blob_goes_on_where_it_was_cut_and_wrong_bytes_never_get_its_name() {
    let folder = tempdir().unwrap();
    let blob = descriptor(b"hello, world");
    let writer = LayoutWriter::open(folder.path()).unwrap();
    writer.partial(&blob.digest).unwrap().write(b"hello").unwrap();
    assert!(!writer.has(&blob));
    assert!(matches!(LayoutWriter::open(folder.path()), Err(ArchiveError::Busy { .. })), "one at a time");
    drop(writer);

    let writer = LayoutWriter::open(folder.path()).unwrap();
    let mut partial = writer.partial(&blob.digest).unwrap();
    assert_eq!(partial.len(), 5);
    partial.write(b", w0rld").unwrap();
    assert!(matches!(partial.finish(12), Err(ArchiveError::Mismatch { .. })));
    let mut partial = writer.partial(&blob.digest).unwrap();
    assert!(partial.is_empty(), "what was wrong is gone");
    partial.write(b"hello").unwrap();
    assert!(matches!(partial.finish(12), Err(ArchiveError::WrongSize { actual: 5, .. })));
    let mut partial = writer.partial(&blob.digest).unwrap();
    partial.write(b"hello, world").unwrap();
    partial.finish(12).unwrap();
    assert!(writer.has(&blob));

    writer.finish(&[Entry::new(&TYPE, blob.digest, blob.size, Some("v1"))]).unwrap();
    assert_eq!(names(folder.path()), ["blobs", "index.json", "oci-layout"]);
    let files = ImageFiles::open(folder.path()).unwrap();
    assert!(files.entries()[0].is_called("v1"));
    let mut read = Vec::new();
    files.blob(&blob).unwrap().open().unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"hello, world");
}

#[test]
fn a_folder_of_somebody_else_is_not_written_to() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("mine"), "").unwrap();
    assert!(matches!(LayoutWriter::open(folder.path()), Err(ArchiveError::NotImages { .. })));
    assert_eq!(names(folder.path()), ["mine"]);
}

#[test]
fn a_packed_layout_is_the_same_each_time_and_reads_as_the_folder_does() {
    let folder = tempdir().unwrap();
    let layout = folder.path().join("layout");
    let writer = LayoutWriter::open(&layout).unwrap();
    let manifest = br#"{"schemaVersion":2}"#;
    let digest = Digest::sha256_of(manifest);
    writer.put_manifest(&digest, manifest).unwrap();
    writer.finish(&[Entry::new(&TYPE, digest, manifest.len() as u64, None)]).unwrap();
    let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
    let docker = DockerImage { names: vec!["a:1".to_owned()], config: digest, layers: vec![digest] };
    pack(&layout, &one, std::slice::from_ref(&docker)).unwrap();
    pack(&layout, &two, &[docker]).unwrap();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    assert_eq!(names(folder.path()), ["layout", "one.tar", "two.tar"]);
    for path in [&layout, &one] {
        let files = ImageFiles::open(path).unwrap();
        assert_eq!(files.manifest(&digest).unwrap(), manifest);
        assert!(matches!(files.manifest(&Digest::sha256_of(b"")), Err(ArchiveError::Missing { .. })));
    }
}

/// An archive as docker wrote it before version 25: the second layer is a link to the first.
fn saved(path: &Path, list: &str) {
    let mut tar = tar::Builder::new(File::create(path).unwrap());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    let plain = Digest::sha256_of(b"plain layer");
    put("config.json", format!(r#"{{"rootfs":{{"diff_ids":["{plain}","{plain}","{plain}"]}}}}"#).as_bytes());
    put("a/layer.tar", b"plain layer");
    put("c/layer.tar", &[0x1f, 0x8b, 8, 0]);
    put("manifest.json", list.as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "b/layer.tar", "../a/layer.tar").unwrap();
    tar.finish().unwrap();
}

#[test]
fn an_older_archive_of_docker_gets_a_manifest_over_its_own_bytes() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("saved.tar");
    let layers = r#"["a/layer.tar","b/layer.tar","c/layer.tar"]"#;
    saved(&file, &format!(r#"[{{"Config":"config.json","RepoTags":["app:1","app:2"],"Layers":{layers}}}]"#));
    let files = ImageFiles::open(&file).unwrap();
    assert_eq!(files.entries().iter().filter_map(Entry::name).collect::<Vec<_>>(), ["app:1", "app:2"]);
    let digest = files.entries()[0].descriptor.digest;
    let facts = ManifestFacts::parse(&files.manifest(&digest).unwrap(), None).unwrap();
    let plain = Digest::sha256_of(b"plain layer");
    let kinds: Vec<_> = facts.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    assert_eq!((facts.layers[0].digest, facts.layers[1].digest), (plain, plain));
    assert!(kinds[0].ends_with("layer.v1.tar") && kinds[2].ends_with("tar+gzip"), "{kinds:?}");
    let mut read = Vec::new();
    files.blob(&facts.layers[1]).unwrap().open().unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"plain layer");
    assert_eq!(ImageFiles::open(&file).unwrap().entries()[0].descriptor.digest, digest, "the same each time");
}

#[test]
fn a_list_that_names_what_is_not_in_the_archive_is_refused() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("saved.tar");
    for config in ["../../etc/passwd", "/etc/passwd", "none.json"] {
        saved(&file, &format!(r#"[{{"Config":"{config}","Layers":[]}}]"#));
        let error = ImageFiles::open(&file).unwrap_err().to_string();
        assert!(error.contains("not in the archive"), "{error}");
    }
    fs::write(&file, b"\x1f\x8b no tar file").unwrap();
    ImageFiles::open(&file).unwrap_err();
}
