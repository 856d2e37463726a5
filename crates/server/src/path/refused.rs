//! Paths that must be refused, each with the code of its refusal. Data for the tests of `path`.

use oci::ErrorCode;

/// Empty, dotted and look-alike segments; encodings that others may decode differently or twice; bytes that have no
/// place in a path; names off the grammar. Separated by spaces.
const BAD_NAMES: &str = r"
    a//b/manifests/latest /a/manifests/latest //manifests/latest a/../b/manifests/latest ../a/manifests/latest
    a/./b/manifests/latest ./manifests/latest a/manifests/.. a/manifests/. .. manifests/latest blobs/uploads/ tags/list
    referrers/x a/b/ a/

    a%2fb/manifests/latest a%2Fb/manifests/latest %2F%2F/manifests/latest %2e%2e%2fa/tags/list a/%2e%2e/b/tags/list
    a/%2E/b/tags/list a%252fb/tags/list a%252e/tags/list a%00/tags/list a%2500/tags/list a%5cb/tags/list a%5Cb/tags/list
    a%3bb/tags/list a%20b/tags/list a%0d%0ab/tags/list a%7fb/tags/list a%c3%a9/tags/list a%3f/tags/list a%23/tags/list
    a%/tags/list a%4/tags/list a%zz/tags/list a/tags/list% a/manifests/%

    a\b/tags/list a\..\b/tags/list a;b/tags/list a;x=1/tags/list a/tags;v=1/list ä/tags/list аpp/tags/list a⁄b/tags/list
    a／b/tags/list

    A/b/manifests/latest a/B/manifests/latest a/.b/manifests/latest a/b./manifests/latest a/-b/manifests/latest
    a/b-/manifests/latest a/b___c/manifests/latest a/b..c/manifests/latest _catalog/manifests/latest a/_b/tags/list
    a/b@c/tags/list a/b:c/tags/list a/b+c/tags/list host:0/a/tags/list host:99999/a/tags/list host:80x/a/tags/list
    :5000/a/tags/list ghcr.io:/a/tags/list -x.io:1/a/tags/list ghcr.io/A/tags/list a/b:5000/c/tags/list {a}/tags/list
    $(id)/tags/list a/'or'1/tags/list a/<b>/tags/list ~root/tags/list [::1/a/tags/list [x]:1/a/tags/list";

/// The same, with characters that cannot stand in the list above.
const BAD_BYTES: [&str; 6] =
    ["a b/tags/list", "a\0/tags/list", "a\u{7f}/tags/list", "a\tb/tags/list", "a\r\nb/tags/list", " /tags/list"];

const BAD_TAGS: &str = "a/manifests/ a/manifests/.hidden a/manifests/-x a/manifests/v1+build a/manifests/a@b
    a/manifests/* a/manifests/{} a/manifests/~x a/manifests/$x";

const BAD_DIGESTS: &str = "a/manifests/v1:2 a/manifests/sha256: a/manifests/: a/manifests/sha256:baddigest a/blobs/
    a/blobs/latest a/blobs/sha256 a/blobs/sha256: a/blobs/sha256:.. a/blobs/sha256:sha256:x a/referrers/latest
    a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e a/referrers/sha256:zz a/blobs/:";

const BAD_SESSIONS: &str = "a/blobs/uploads/0b8e a/blobs/uploads/0B8E7C1A-0123-4567-89AB-CDEF01234567
    a/blobs/uploads/0b8e7c1a-0123-4567-89ab-cdef0123456g a/blobs/uploads/0b8e7c1a01234567089abcdef01234567";

const NO_ENDPOINTS: &str = "a a/b a/manifest/x a/tags/lists a/tags _oci/ext/discover a/blob/x";

/// All of them.
pub(super) fn cases() -> Vec<(String, ErrorCode)> {
    let lists = [
        (BAD_NAMES, ErrorCode::NameInvalid),
        (BAD_TAGS, ErrorCode::TagInvalid),
        (BAD_DIGESTS, ErrorCode::DigestInvalid),
        (BAD_SESSIONS, ErrorCode::BlobUploadUnknown),
        (NO_ENDPOINTS, ErrorCode::Unsupported),
    ];
    let mut cases: Vec<_> = lists
        .iter()
        .flat_map(|(list, code)| list.split_ascii_whitespace().map(move |raw| (raw.to_owned(), *code)))
        .collect();
    cases.extend(BAD_BYTES.map(|raw| (raw.to_owned(), ErrorCode::NameInvalid)));
    cases.push((format!("{}/manifests/latest", "a".repeat(256)), ErrorCode::NameInvalid));
    cases.push((format!("a/manifests/{}", "t".repeat(129)), ErrorCode::TagInvalid));
    cases.extend(digests_off_by_little().flat_map(|digest| {
        [format!("a/blobs/{digest}"), format!("a/manifests/{digest}")].map(|raw| (raw, ErrorCode::DigestInvalid))
    }));
    cases
}

fn digests_off_by_little() -> impl Iterator<Item = String> {
    let hex = "a1".repeat(32);
    [
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}g", &hex[1..]),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
    ]
    .into_iter()
}
