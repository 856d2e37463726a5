//! Which image of an index is for which platform.
//!
//! Must not know how manifests are fetched. Invariant: the first that fits is taken, as container clients do.

use oci::{Digest, Platform};
use serde::Deserialize;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Child {
    digest: Digest,
    platform: Option<Platform>,
}

/// The child of an index that is for `wanted`; the error lists what there is.
pub(crate) fn choose(index: &[u8], wanted: &Platform) -> Result<Digest, String> {
    let index: Index = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let fits = |child: &&Child| child.platform.as_ref().is_some_and(|offered| wanted.accepts(offered));
    if let Some(child) = index.manifests.iter().find(fits) {
        return Ok(child.digest);
    }
    let known = index.manifests.iter().filter_map(|child| child.platform.as_ref()).filter(|offered| offered.is_known());
    let offered: Vec<String> = known.map(Platform::to_string).collect();
    Err(format!("there is no image for {wanted}; there is {}", offered.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_that_fits_is_taken_and_a_miss_says_what_there_is() {
        let child = |seed: &str, architecture: &str, variant: Option<&str>| {
            let platform = json!({ "os": "linux", "architecture": architecture, "variant": variant });
            json!({ "digest": Digest::sha256_of(seed.as_bytes()), "platform": platform })
        };
        let attestation = json!({ "digest": Digest::sha256_of(b"none") });
        let children =
            [attestation, child("a", "amd64", None), child("v7", "arm", Some("v7")), child("b", "amd64", None)];
        let index = json!({ "manifests": children }).to_string();
        let choose = |text: &str| choose(index.as_bytes(), &text.parse().unwrap());
        assert_eq!(choose("linux/amd64"), Ok(Digest::sha256_of(b"a")));
        assert_eq!(choose("linux/arm"), Ok(Digest::sha256_of(b"v7")));
        let none = choose("linux/arm/v6").unwrap_err();
        assert!(none.contains("linux/arm/v6") && none.contains("linux/arm/v7"), "{none}");
    }
}
