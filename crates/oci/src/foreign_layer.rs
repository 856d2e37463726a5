//! Layers that say where else they are: the `urls` of a descriptor (image-spec "Descriptors").
//!
//! Must not know whether anybody goes there. Invariant: an address here is the word of whoever wrote the manifest, and
//! is read out of bytes that were accepted as a manifest before.

use serde::Deserialize;

use crate::digest::Digest;
use crate::limits::{MAX_LAYER_URL_BYTES, MAX_LAYER_URLS};
use crate::manifest_fields::{Field, Fields};

/// A layer with addresses of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignLayer {
    /// Its size in bytes, as its descriptor says.
    pub size: u64,
    /// Its addresses, in their order; at least one.
    pub urls: Vec<String>,
}

#[derive(Deserialize)]
struct Layer {
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl ForeignLayer {
    /// What `manifest` says of its layer `digest`; `None` when it has no such layer, or the layer no address.
    pub fn find(manifest: &[u8], digest: &Digest) -> Option<Self> {
        let fields = Fields::split(std::str::from_utf8(manifest).ok()?).ok()?;
        let layers: Vec<Layer> = serde_json::from_str(fields.get(Field::Layers)?).ok()?;
        let layer = layers.into_iter().find(|layer| layer.digest == *digest)?;
        let urls = layer.urls.unwrap_or_default().into_iter();
        let urls: Vec<_> = urls.filter(|url| url.len() <= MAX_LAYER_URL_BYTES).take(MAX_LAYER_URLS).collect();
        (!urls.is_empty()).then_some(Self { size: layer.size, urls })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_found_and_bounded() {
        let [plain, foreign] = [&b"plain"[..], b"foreign"].map(Digest::sha256_of);
        let many: Vec<String> = (0..100).map(|number| format!("https://a.example/{number}")).collect();
        let layers = json!([
            { "mediaType": "m/t", "digest": plain, "size": 1 },
            { "mediaType": "m/t", "digest": foreign, "size": 7, "urls": ["x".repeat(10_000), many[0], many[1]] },
        ]);
        let manifest = json!({ "schemaVersion": 2, "layers": layers }).to_string();
        let found = ForeignLayer::find(manifest.as_bytes(), &foreign).unwrap();
        assert_eq!(found, ForeignLayer { size: 7, urls: many[..2].to_vec() });
        assert_eq!(ForeignLayer::find(manifest.as_bytes(), &plain), None);
        assert_eq!(ForeignLayer::find(manifest.as_bytes(), &Digest::sha256_of(b"other")), None);
        let many = json!({ "layers": [{ "digest": foreign, "size": 7, "urls": many }] }).to_string();
        assert_eq!(ForeignLayer::find(many.as_bytes(), &foreign).unwrap().urls.len(), MAX_LAYER_URLS);
        for odd in
            [json!({}), json!({ "layers": 7 }), json!({ "layers": [{ "digest": foreign, "size": 7, "urls": 1 }] })]
        {
            assert_eq!(ForeignLayer::find(odd.to_string().as_bytes(), &foreign), None, "{odd}");
        }
        assert_eq!(ForeignLayer::find(b"\xff", &foreign), None);
    }
}
