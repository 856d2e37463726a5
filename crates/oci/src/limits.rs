//! Every bound this crate enforces or its users share, in one place, each with where it comes from.
//!
//! Must not know who enforces them. Invariant: a bound is checked before memory is spent in proportion to the
//! input, never after.

/// Largest manifest accepted, in bytes. The distribution spec asks registries to accept at least 4 MiB
/// (distribution-spec "Pushing Manifests"); containerd reads no more than about that.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Most ranges in one `Range` header. RFC 9110 section 14.2 lets a server refuse sets that look like an attack.
pub const MAX_RANGES: usize = 1024;

/// Most tags in one page of `tags/list`, whatever `n` asks for (CVE-2023-2253: `n` sized an allocation).
pub const MAX_TAG_PAGE: usize = 1000;

/// Most bytes of one `tags/list` body read from an upstream. Ours; a full page of maximal tags is about 130 KiB.
pub const MAX_TAGS_BODY: usize = 4 * 1024 * 1024;

/// Longest repository name, in characters. The distribution spec notes that clients cap host plus name at 255.
pub const MAX_NAME_LEN: usize = 255;

/// Longest tag, in characters (distribution-spec "Pulling manifests": one plus 127).
pub const MAX_TAG_LEN: usize = 128;

/// Longest repo key, in characters. Ours: it appears in paths, logs and metric labels.
pub const MAX_REPO_KEY_LEN: usize = 64;

/// Longest host with port, in characters: a DNS name has at most 253 (RFC 1035), a port with its colon six.
pub const MAX_HOST_LEN: usize = 259;

/// Longest media type, in characters (RFC 6838 section 4.2: 127 for each half).
pub const MAX_MEDIA_TYPE_LEN: usize = 255;

/// Most layers in one manifest. Ours; overlay file systems stop at 128 to 500.
pub const MAX_MANIFEST_LAYERS: usize = 1000;

/// Most addresses of one layer (`urls` of a descriptor). Ours; images in the wild have one.
pub const MAX_LAYER_URLS: usize = 8;

/// Longest address of a layer, in bytes. Ours; signed addresses of content networks stay below.
pub const MAX_LAYER_URL_BYTES: usize = 4096;

/// Most children in one index. Ours.
pub const MAX_INDEX_CHILDREN: usize = 1000;

/// Most referrers of one manifest. Ours: signatures and attestations are a handful; a list without end is an attack.
pub const MAX_REFERRERS: usize = 10_000;

/// Most keys in the outermost object of a manifest. Ours; the image spec defines eight.
pub const MAX_MANIFEST_KEYS: usize = 256;

/// Deepest nesting of arrays and objects in a manifest. Ours; the image spec needs five.
pub const MAX_MANIFEST_DEPTH: usize = 64;

/// Largest size a descriptor may state, in bytes: the largest integer every JSON reader keeps exactly
/// (RFC 8259 section 6).
pub const MAX_DESCRIPTOR_SIZE: u64 = 1 << 53;

/// Longest `WWW-Authenticate` value read, in bytes. Ours; real ones are below 1 KiB.
pub const MAX_CHALLENGE_BYTES: usize = 8 * 1024;

/// Most challenges in one `WWW-Authenticate` value. Ours.
pub const MAX_CHALLENGES: usize = 16;

/// Most parameters of one challenge. Ours.
pub const MAX_CHALLENGE_PARAMS: usize = 32;

/// Longest `Link` value read, in bytes. Ours; real ones are below 1 KiB.
pub const MAX_LINK_BYTES: usize = 8 * 1024;

/// Most links in one `Link` value. Ours.
pub const MAX_LINKS: usize = 32;

/// Longest token scope, in bytes: a maximal repository name with every action fits many times over. Ours.
pub const MAX_SCOPE_BYTES: usize = 1024;
