//! A table of 50,000 entries in the memory of a process that does nothing else.
//!
//! The layer is written by one process and read by another (this program again), because what the writer takes is no
//! part of the question.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use estargz::{FileSource, ImageTree, LayerHints, LayerOpener, Progress, RangeSource, Verification};
use testkit::stargz::{Flavour, StargzWriter, TarEntry};

const FILES: usize = 50_000;
/// Starget may take 64 MiB for everything.
const MOST_RESIDENT_KIB: u64 = 20 * 1024;
const FOLDER: &str = "ESTARGZ_TEST_MEMORY_FOLDER";

fn resident_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches(|character: char| !character.is_ascii_digit()).parse().unwrap()
}

/// Run by the other test, with the folder; alone it does nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let before = resident_kib("VmRSS:");
    let descriptor: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("json")).unwrap()).unwrap();
    let annotations = descriptor["annotations"].as_object().unwrap().iter();
    let annotations = annotations.map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
    let hints = LayerHints::new(&serde_json::from_value(descriptor.clone()).unwrap(), annotations).unwrap();
    let source = FileSource::new(File::open(folder.join("blob")).unwrap()).unwrap();
    let mut steps = LayerOpener::new(hints, Verification::Required);
    let ready = loop {
        match steps.advance().unwrap() {
            Progress::Need(range) => {
                let mut bytes = Vec::with_capacity(range.len() as usize);
                std::io::copy(&mut source.read(range).unwrap(), &mut bytes).unwrap();
                steps.supply(bytes).unwrap();
            }
            Progress::Ready(layer) => break layer,
            Progress::NotLazy(reason) => panic!("{reason}"),
        }
    };
    let tree = ImageTree::merge(vec![Arc::new(ready.layer)]).unwrap();
    assert!(tree.len() > FILES);
    println!("peak {} KiB over {before} KiB at the start", resident_kib("VmHWM:"));
    assert!(
        resident_kib("VmHWM:") - before <= MOST_RESIDENT_KIB,
        "{} KiB more than before",
        resident_kib("VmHWM:") - before
    );
}

#[test]
fn fifty_thousand_entries_take_little_memory() {
    let name = |number: usize| format!("usr/share/some-package-{}/documentation/file-{number}.txt.gz", number / 40);
    let entries: Vec<_> = (0..FILES).map(|number| TarEntry::file(&name(number), number.to_string())).collect();
    let built = StargzWriter::new(Flavour::EStargz).build(&entries);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("blob"), &built.blob).unwrap();
    std::fs::write(folder.path().join("json"), built.descriptor_json().to_string()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find(|line| line.contains("peak ")).expect("the child measured");
    println!("table {} bytes: {line}", built.blob.len() as u64 - built.data_end);
}
