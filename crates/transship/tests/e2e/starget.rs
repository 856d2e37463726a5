//! starget through the proxy: lazy pulls stay lazy upstream, and the second one asks nobody.
//!
//! Must not know: how starget reads layers. Invariant: what is compared is what the upstream was asked with and without us.

use std::path::{Path, PathBuf};
use std::process::Command;

use oci::Digest;
use serde_json::{Value, json};
use testkit::image::{Blob, Image, Manifest, blob};
use testkit::stargz::{Built, Flavour, StargzWriter, TarEntry};
use testkit::upstream::{FakeUpstream, Kind};

use crate::lab::{Lab, NAME};

/// The program, built now unless it is there: it is another package's.
fn program() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "starget", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status()
        .unwrap();
    assert!(built.success(), "starget cannot be built");
    Path::new(env!("CARGO_BIN_EXE_transship")).with_file_name("starget")
}

fn layers() -> Vec<Built> {
    let mut files: Vec<_> = (0..200).map(|at| TarEntry::file(&format!("small/{at}"), blob(at, 700))).collect();
    files.extend((0..4).map(|at| TarEntry::file(&format!("big/{at}"), blob(1000 + at, 3 << 20))));
    let lower = StargzWriter::new(Flavour::EStargz).build(&files);
    let upper = StargzWriter::new(Flavour::EStargz).build(&[TarEntry::file("etc/motd", "hello\n")]);
    vec![lower, upper]
}

fn image(layers: &[Built]) -> Image {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let blob = |media_type: &str, bytes: &[u8]| Blob {
        media_type: media_type.to_owned(),
        digest: Digest::sha256_of(bytes),
        bytes: bytes.to_vec().into(),
    };
    let config = blob("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": config.media_type, "digest": config.digest.to_string(), "size": 2},
        "layers": layers.iter().map(Built::descriptor_json).collect::<Vec<Value>>(),
    });
    let blobs = std::iter::once(config).chain(layers.iter().map(|layer| blob(layer.media_type, &layer.blob)));
    Image { manifest: Manifest::from_bytes(kind, manifest.to_string()), blobs: blobs.collect(), children: Vec::new() }
}

/// Requests for manifests and for layers, and the bytes of the latter.
fn asked(upstream: &FakeUpstream) -> (usize, usize, u64) {
    let of = |kind| upstream.requests().into_iter().filter(move |seen| seen.kind() == kind && seen.method == "GET");
    let bytes = of(Kind::Blob).map(|seen| seen.bytes_sent).sum();
    (of(Kind::Manifest).count(), of(Kind::Blob).count(), bytes)
}

fn run(program: &Path, words: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output =
        Command::new(program).args(words).current_dir(home.path()).env_clear().env("HOME", home.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_cache_is_asked_for_no_more_than_the_registry_and_a_warm_one_asks_nobody() {
    let program = program();
    let layers = layers();
    let whole: u64 = layers.iter().map(|layer| layer.blob.len() as u64).sum();
    for words in [&["ls"][..], &["cat", "etc/motd"], &["cat", "big/2"]] {
        let lab = Lab::start();
        lab.upstream.add_image(NAME, "1", &image(&layers));
        let (command, rest) = words.split_first().unwrap();
        let direct = format!("{}/{NAME}:1", lab.upstream.host());
        let expected = run(&program, &[&[*command, "--no-cache", &direct], rest].concat());
        let without = asked(&lab.upstream);

        // By the repository's key, and as a mirror of the upstream's host.
        let mirror = lab.transship.url();
        let key = format!("{}/lab/{NAME}:1", mirror.trim_start_matches("http://"));
        let ways = [vec![*command, "--no-cache", &key], vec![*command, "--no-cache", "--mirror", &mirror, &direct]];
        for (at, way) in ways.iter().enumerate() {
            lab.upstream.clear_log();
            assert_eq!(run(&program, &[way, rest].concat()), expected, "{words:?}");
            let with = asked(&lab.upstream);
            if at == 0 {
                assert!(with.0 <= without.0 && with.1 <= without.1, "{words:?}: {with:?} for {without:?}");
                assert!(with.2 < whole / 2, "{words:?}: {} of {whole} bytes are no lazy pull", with.2);
            } else {
                assert_eq!(with, (0, 0, 0), "{words:?}: the second one asks nobody");
            }
        }
    }
}
