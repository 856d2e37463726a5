//! Replays the seeds of the `path` fuzz target with the properties the target checks, on any compiler.

use std::panic::catch_unwind;
use std::path::Path;

use transship_server::path;

#[expect(unreachable_pub, reason = "public where the fuzz target includes it")]
#[path = "../../../fuzz/src/path_properties.rs"]
mod path_properties;

#[test]
fn paths() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds/path");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&seeds).expect("the target has seeds") {
        let file = entry.expect("the seeds can be listed").path();
        let seed = std::fs::read(&file).expect("the seed can be read");
        assert!(
            catch_unwind(|| path_properties::path(&seed)).is_ok(),
            "{} breaks a property, see above",
            file.display()
        );
        replayed += 1;
    }
    assert!(replayed >= 5, "path has only {replayed} seeds");
}
