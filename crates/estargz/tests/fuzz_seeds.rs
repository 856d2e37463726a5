//! Replays the fuzz targets' seeds with the properties the targets check, on any compiler and without a fuzzer.
//!
//! What a fuzz run finds is added to the seeds, so it stays found.

use std::panic::catch_unwind;
use std::path::Path;

#[path = "../../../fuzz/src/layer_properties.rs"]
#[expect(unreachable_pub, reason = "public where the fuzz workspace has it as a library")]
mod layer_properties;

/// Calls `property` with every seed of `target`.
fn replay(target: &str, property: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&seeds).expect("the target has seeds") {
        let path = entry.expect("the seeds can be listed").path();
        let seed = std::fs::read(&path).expect("the seed can be read");
        assert!(catch_unwind(|| property(&seed)).is_ok(), "{} breaks a property, see above", path.display());
        replayed += 1;
    }
    assert!(replayed >= 5, "{target} has only {replayed} seeds");
}

#[test]
fn layer_footer() {
    replay("layer_footer", layer_properties::layer_footer);
}

#[test]
fn layer_toc() {
    replay("layer_toc", layer_properties::layer_toc);
}

#[test]
fn layer_chunk() {
    replay("layer_chunk", layer_properties::layer_chunk);
}
