#![no_main]
// The path parser alone, not the server with all it depends on: the target builds in seconds instead of minutes.
#[path = "../../crates/server/src/path.rs"]
mod path;
#[path = "../src/path_properties.rs"]
mod path_properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| path_properties::path(data));
