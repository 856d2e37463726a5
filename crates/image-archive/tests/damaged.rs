//! Files that are damaged or meant to do harm: refused by name, before they cost anything.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use oci::{Digest, MediaType};
use tar::EntryType;
use tempfile::{TempDir, tempdir};
use transship_image_archive::{ArchiveError, Entry, ImageFiles, LayoutWriter, pack};

/// A tar file of these members: type, name and content.
fn archive(members: &[(EntryType, &str, &[u8])]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("a.tar");
    let mut tar = tar::Builder::new(File::create(&file).unwrap());
    for (kind, name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_path(name).unwrap();
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.finish().unwrap();
    (folder, file)
}

const FILE: EntryType = EntryType::Regular;
const LAYOUT: (EntryType, &str, &[u8]) = (FILE, "oci-layout", b"{}");

fn refused(file: &Path) -> String {
    ImageFiles::open(file).unwrap_err().to_string()
}

#[test]
fn a_record_that_claims_a_gibibyte_is_refused_unread() {
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader] {
        let (_folder, file) = archive(&[]);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(3 << 29);
        header.set_cksum();
        let mut out = File::create(&file).unwrap();
        out.write_all(header.as_bytes()).unwrap();
        // Sparse: it costs whoever made it nothing.
        out.set_len(512 + (3 << 29)).unwrap();
        let error = refused(&file);
        assert!(error.contains("a record in it has 1610612736 bytes"), "{kind:?}: {error}");
    }
}

#[test]
fn long_names_and_sizes_of_records_are_read_and_records_of_the_whole_are_passed_over() {
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    let name = "x/".repeat(100) + "y";
    let path = |name: &str| format!("{} path={name}\n", name.len() + 10);
    let (long, elsewhere) = (path(&name), "18 path=elsewhere\n");
    let (_folder, file) = archive(&[
        (EntryType::XGlobalHeader, "pax_global_header", b"20 comment=abcdefgh\n"),
        LAYOUT,
        (EntryType::XHeader, "h", long.as_bytes()),
        (FILE, "short", b"1"),
        (EntryType::XHeader, "h", b"16 size=0000034\n"),
        (FILE, "index.json", index),
    ]);
    assert!(ImageFiles::open(&file).unwrap().entries().is_empty());
    let (_folder, file) =
        archive(&[LAYOUT, (FILE, "index.json", index), (EntryType::XHeader, "h", elsewhere.as_bytes())]);
    assert!(refused(&file).contains("ends behind a record"));
}

#[test]
fn a_truncated_archive_says_where() {
    let (_folder, file) =
        archive(&[LAYOUT, (FILE, "index.json", br#"{"manifests":[]}"#), (FILE, "blobs/sha256/ab", &[7; 9000])]);
    File::options().write(true).open(&file).unwrap().set_len(6000).unwrap();
    assert!(refused(&file).contains("truncated in blobs/sha256/ab"), "{}", refused(&file));
}

#[test]
fn no_link_leads_out_of_a_folder() {
    let folder = tempdir().unwrap();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    for made in [&inside, &outside] {
        fs::create_dir(made).unwrap();
    }
    fs::write(outside.join("secret"), "canary").unwrap();
    std::os::unix::fs::symlink("../out", inside.join("d")).unwrap();
    fs::write(inside.join("c.json"), "{}").unwrap();
    let list = r#"[{"Config":"c.json","Layers":["d/secret"]}]"#;
    fs::write(inside.join("c.json"), format!(r#"{{"rootfs":{{"diff_ids":["{}"]}}}}"#, Digest::sha256_of(b"canary")))
        .unwrap();
    fs::write(inside.join("manifest.json"), list).unwrap();
    assert!(refused(&inside).contains("it is a link"), "{}", refused(&inside));
}

#[test]
fn an_older_archive_of_docker_whose_hashes_are_not_true_is_refused_by_member() {
    let layer = b"plain layer";
    let config = format!(r#"{{"rootfs":{{"diff_ids":["{}"]}}}}"#, Digest::sha256_of(layer));
    let name = format!("{}.json", Digest::sha256_of(config.as_bytes()).hex());
    let list = format!(r#"[{{"Config":"{name}","RepoTags":["a:1"],"Layers":["l/layer.tar"]}}]"#);
    let saved = |config: &str, layer: &[u8]| {
        archive(&[
            (FILE, &name, config.as_bytes()),
            (FILE, "l/layer.tar", layer),
            (FILE, "manifest.json", list.as_bytes()),
        ])
    };
    ImageFiles::open(&saved(&config, layer).1).unwrap();
    for (config, layer, member) in
        [(config.as_str(), b"plaim layer", "l/layer.tar"), (&format!("{config} "), layer, name.as_str())]
    {
        let (_folder, file) = saved(config, layer);
        let error = ImageFiles::open(&file).unwrap_err();
        assert!(error.is_wrong_content() && error.to_string().contains(member), "{error}");
    }
    let more = list.replace(r#"["l/layer.tar"]"#, r#"["l/layer.tar","l/layer.tar"]"#);
    let (_folder, file) = archive(&[
        (FILE, &name, config.as_bytes()),
        (FILE, "l/layer.tar", layer),
        (FILE, "manifest.json", more.as_bytes()),
    ]);
    assert!(refused(&file).contains("knows 1 layers, manifest.json lists 2"), "{}", refused(&file));
}

#[test]
fn a_tar_file_has_what_its_index_leads_to_and_nothing_of_other_runs() {
    let folder = tempdir().unwrap();
    let (layout, file) = (folder.path().join("layout"), folder.path().join("a.tar"));
    let writer = LayoutWriter::open(&layout).unwrap();
    let (stale, blob) = (b"of another run".as_slice(), b"{}".as_slice());
    let config = Digest::sha256_of(blob);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{config}","size":2}},"layers":[]}}"#,
        MediaType::OCI_IMAGE_MANIFEST,
        MediaType::OCTET_STREAM
    );
    let digest = Digest::sha256_of(manifest.as_bytes());
    for bytes in [stale, blob, manifest.as_bytes()] {
        writer.put_manifest(&Digest::sha256_of(bytes), bytes).unwrap();
    }
    let entry = Entry::new(&MediaType::OCI_IMAGE_MANIFEST, digest, manifest.len() as u64, Some("v1"));
    writer.finish(&[entry]).unwrap();
    pack(&layout, &file, &[]).unwrap();
    let files = ImageFiles::open(&file).unwrap();
    assert!(files.has(&digest).unwrap() && files.has(&config).unwrap());
    assert!(!files.has(&Digest::sha256_of(stale)).unwrap());
}

#[test]
fn a_run_stopped_at_its_very_beginning_leaves_a_folder_that_can_be_used() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(".oci-layout.new"), "{").unwrap();
    drop(LayoutWriter::open(folder.path()).unwrap());
    fs::write(folder.path().join("mine"), "").unwrap();
    fs::remove_file(folder.path().join("oci-layout")).unwrap();
    assert!(matches!(LayoutWriter::open(folder.path()), Err(ArchiveError::NotImages { .. })));
}
