//! What cosign puts beside an image: tags that are made of its digest.
//!
//! Must not know where they are kept.

use oci::{Digest, DigestAlgorithm, Tag};

/// What the tags end with: signatures, attestations, SBOMs.
const KINDS: [&str; 3] = ["sig", "att", "sbom"];
/// As many digits of a digest are in the tag.
const DIGITS: usize = 64;

/// The tags beside the image of this digest.
pub(crate) fn tags(digest: &Digest) -> impl Iterator<Item = Tag> {
    let start = format!("{}-{:.DIGITS$}", digest.algorithm(), digest.hex());
    KINDS.iter().filter_map(move |kind| format!("{start}.{kind}").parse().ok())
}

/// Whether an image of a layout is called by such a tag, `TAG` or `NAME:TAG`.
pub(crate) fn is_beside(called: &str) -> bool {
    let tag = called.rsplit_once(':').map_or(called, |(_, tag)| tag);
    let Some((start, kind)) = tag.rsplit_once('.') else { return false };
    let Some((algorithm, hex)) = start.split_once('-') else { return false };
    let is_algorithm =
        [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512].iter().any(|known| known.as_str() == algorithm);
    KINDS.contains(&kind) && is_algorithm && hex.len() == DIGITS && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_beside_an_image_are_known_by_their_form() {
        let digest = Digest::sha256_of(b"");
        for tag in tags(&digest) {
            assert!(is_beside(tag.as_str()) && is_beside(&format!("host:5000/team/app:{tag}")), "{tag}");
        }
        let hex = digest.hex();
        for image in ["v1", "team/app:v1", "sha256-0.sig", &format!("sha256-{hex}"), &format!("v1-{hex}.sig")] {
            assert!(!is_beside(image), "{image}");
        }
    }
}
