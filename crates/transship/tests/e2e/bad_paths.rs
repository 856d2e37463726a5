//! Malformed and hostile addresses: each gets a clear 4xx, and the program lives on.
//!
//! Must not know: the path parser. Invariant: none is ever a 5xx, and none reaches the upstream.

use crate::http;
use crate::lab::Lab;
use crate::refusals::{check_error_body, get, lives, read_answer};

const DIGEST_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Names that are none, or that others may read differently than we do.
const NAMES: &[&str] = &[
    "lab//app",
    "lab/../app",
    "lab/./app",
    "lab/app/..",
    "../lab/app",
    "lab/%2e%2e/app",
    "lab/app%2Fother",
    "lab%2fapp",
    "lab/app%00",
    "lab/%",
    "lab/%zz",
    "lab/%252e",
    "lab/App",
    "lab/-app",
    "lab/app-",
    "lab/a__-b",
    "lab/a...b",
    "lab/a b",
    "lab/app;v=1",
    "lab/app\\other",
    "lab/é",
    "lab/app@1",
    "lab/app:1",
    "lab/%20",
    "lab/app%0d%0aX-Evil:1",
    "LAB/app",
    "lab/.hidden",
    "lab/_",
];
const TAGS: &[&str] = &[
    ".latest",
    "-latest",
    "la%20test",
    "lat%2Fest",
    "v1!",
    "v1*",
    "a@b",
    "%00",
    "lätest",
    "latest/",
    "a:b",
    "sha256:abc",
];
/// `HEX` stands for 64 hexadecimal digits.
const DIGESTS: &[&str] = &[
    "sha256:",
    "sha256:abc",
    "sha256",
    "HEX",
    "sha256:HEX0",
    "sha256:AHEX",
    "md5:HEX",
    "sha1:HEX",
    "sha512:HEX",
    "..",
    "sha256:HEX%00",
    "latest",
    ":",
    "sha256:sha256:HEX",
    "sha256:HEX/",
    "sha256%3Aabc",
    "sha256%253AHEX",
    "sha256:gHEX",
];
const QUERIES: &[&str] = &[
    "n=-1",
    "n=abc",
    "n=",
    "n=1.5",
    "n=99999999999999999999999",
    "n=1&n=2",
    "n=%00",
    "n=%",
    "last=%00",
    "last=%ff",
    "last=a&last=b",
    "ns=",
    "ns=a%20b",
    "ns=http://x",
    "ns=docker.io&ns=quay.io",
    "ns=docker.io/x",
];
/// No endpoint, or none that this version has.
const NOWHERE: &[&str] = &[
    "/v2/lab",
    "/v2/lab/app",
    "/v2/lab/app/",
    "/v2/lab/app/manifests",
    "/v2/lab/app/manifests/",
    "/v2/lab/app/blobs/",
    "/v2/lab/app/tags",
    "/v2/lab/app/tags/",
    "/v2/lab/app/tags/list/",
    "/v2//",
    "/v2/_catalog",
    "/v2/manifests/latest",
    "/v2/nosuch/app/manifests/latest",
    "/v1/",
    "/",
    "/nothing",
    "/v2x/",
    "/V2/",
    "/api/nothing",
    "/api/repos/",
    "/metrics/",
];

/// Targets that lead nowhere, each with the codes its answer may have (any when empty).
fn targets() -> Vec<(String, &'static str)> {
    let hex = DIGEST_HEX;
    let (long_name, long_tag, upper) = ("a".repeat(300), "t".repeat(129), hex.to_uppercase());
    let names = NAMES.iter().map(|name| (*name).to_owned()).chain([format!("lab/{long_name}")]);
    let names = names.map(|name| (format!("/v2/{name}/manifests/latest"), "NAME_INVALID"));
    let tags = TAGS.iter().copied().chain([long_tag.as_str()]);
    let tags = tags.map(|tag| {
        (format!("/v2/lab/app/manifests/{tag}"), "MANIFEST_UNKNOWN|DIGEST_INVALID|NAME_INVALID|UNSUPPORTED")
    });
    let digests = DIGESTS.iter().map(|digest| digest.replace("HEX", hex)).chain([format!("sha256:{upper}")]);
    let digests =
        digests.map(|digest| (format!("/v2/lab/app/blobs/{digest}"), "DIGEST_INVALID|NAME_INVALID|UNSUPPORTED"));
    let queries = QUERIES.iter().map(|query| format!("/v2/lab/app/tags/list?{query}"));
    let queries = queries.map(|target| (target, "UNSUPPORTED|TAG_INVALID|NAME_INVALID"));
    let nowhere = NOWHERE.iter().map(|target| ((*target).to_owned(), ""));
    names.chain(tags).chain(digests).chain(queries).chain(nowhere).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_paths_are_refused_with_reasons() {
    let lab = Lab::start();
    let cases = targets();
    assert!(cases.len() > 60);
    for (target, codes) in cases {
        let request = get(&target);
        let bytes = http::raw(&lab.transship.host(), request.as_bytes(), |_| false).await;
        let Some((status, head, body)) = read_answer(&bytes) else { panic!("{target}: no answer") };
        assert!((400..500).contains(&status), "{target}: {status} {body}");
        // A target that is not even a URI is refused by the HTTP layer, without a body.
        if target.is_ascii() && !target.contains([' ', '\\']) {
            check_error_body(&target, &head, &body, codes);
        }
    }
    lives(&lab).await;
}
