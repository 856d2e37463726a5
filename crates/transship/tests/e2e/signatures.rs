//! Signatures and referrers without measure: refused with a reason, in bounded memory.
//!
//! Must not know: how lists are read. Invariant: what is measured is the program's own memory.

use oci::{Digest, MediaType, Referrer, referrers_index};
use serde_json::json;
use testkit::image::{Image, Manifest, blob};
use testkit::upstream::{Fault, Target};

use crate::lab::{Lab, NAME};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What the program may take for all of it: an idle one has about 40 MiB.
const MOST_MEMORY: u64 = 160 << 20;

fn referrers(count: usize, note: usize) -> Vec<u8> {
    let one = |number: usize| Referrer {
        media_type: MediaType::OCI_IMAGE_MANIFEST,
        digest: Digest::sha256_of(&number.to_be_bytes()),
        size: 7,
        artifact_type: None,
        annotations: (note > 0).then(|| [("note".to_owned(), "n".repeat(note))].into()),
    };
    referrers_index(&(0..count).map(one).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_referrers_are_refused() {
    let lab = Lab::with_repository(json!({ "tag_ttl": "0s" }));
    let image = Image::small(1, 1_000);
    lab.upstream.add_image(NAME, "1", &image);
    let path = format!("/v2/lab/{NAME}/referrers/{}", image.digest());
    let pages = [
        ("all in one document", referrers(100_000, 0), 1),
        ("pages without end", referrers(5_000, 0), 100),
        ("few, but large", referrers(3, 1_000_000), 100),
    ];
    for (case, page, count) in pages {
        lab.upstream.clear_faults();
        lab.upstream.clear_log();
        let page = bytes::Bytes::from(page);
        for number in 1..=count {
            let next = format!("</v2/{NAME}/referrers/{}?page={number}>; rel=\"next\"", image.digest());
            let headers = [("Content-Type", INDEX.to_owned()), ("Link", next)];
            let headers = headers.into_iter().take(if count > 1 { 2 } else { 1 });
            let headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
            let target = Target::any().path("/referrers/").nth(number);
            lab.upstream.fault(target, Fault::Reply(200, headers, page.clone()));
        }
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, 502, "{case}: {}", answer.text());
        assert!(lab.upstream.requests().len() <= 8, "{case}: {} pages", lab.upstream.requests().len());
    }
    assert!(lab.transship.peak_resident_bytes() < MOST_MEMORY, "{}", lab.transship.peak_resident_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_the_largest_measure_do_not_pile_up_in_memory() {
    let lab = Lab::with_repository(json!({ "tag_ttl": "1h" }));
    let image = Image::small(1, 1_000);
    lab.upstream.add_image(NAME, "1", &image);
    let headers = vec![("Content-Type".to_owned(), INDEX.to_owned())];
    let page = referrers(400, 9_000);
    assert!(page.len() < 4 << 20 && page.len() > 3 << 20, "{}", page.len());
    lab.upstream.fault(Target::any().path("/referrers/"), Fault::Reply(200, headers, page.into()));
    let mut resident = Vec::new();
    for number in 0..100_u8 {
        let subject = Digest::sha256_of(&[number]);
        let answer = lab.get(&format!("/v2/lab/{NAME}/referrers/{subject}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        resident.push(lab.transship.resident_bytes());
    }
    // The last sixty are more than 200 MiB together.
    let (before, after) = (resident[39], resident[99]);
    assert!(after.saturating_sub(before) < 120 << 20, "from {before} to {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_signatures_are_refused_and_a_large_one_is_just_a_blob() {
    let lab = Lab::start();
    let image = Image::small(1, 1_000);
    lab.upstream.add_image(NAME, "1", &image);
    let tag = format!("sha256-{}.sig", image.digest().hex());
    let large = blob(2, 50 << 20);
    let digest = lab.upstream.add_blob(NAME, large.clone());
    let config = lab.upstream.add_blob(NAME, bytes::Bytes::from_static(b"{}"));
    let signed = |count: usize| {
        let layer = json!({ "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": digest, "size": large.len() });
        let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 });
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": vec![layer; count] });
        Manifest::from_bytes(MANIFEST, manifest.to_string())
    };
    let many = signed(10_000);
    lab.upstream.add_manifest(NAME, &many);
    lab.upstream.set_tag(NAME, &tag, &many.digest);
    let refused = lab.get(&Lab::manifest_path(&tag)).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (502, &json!("MANIFEST_INVALID")));
    assert!(refused.text().contains("1000"), "the bound is named: {}", refused.text());

    // The manifest itself as large as that: read up to its bound and no further.
    let huge = Manifest::from_bytes(MANIFEST, vec![b' '; 50 << 20]);
    lab.upstream.add_manifest(NAME, &huge);
    lab.upstream.set_tag(NAME, "huge", &huge.digest);
    assert_eq!(lab.get(&Lab::manifest_path("huge")).await.status, 502);
    assert!(lab.upstream.bytes_sent_for(&huge.digest) == 0, "it was asked for by its tag");

    let few = signed(3);
    lab.upstream.add_manifest(NAME, &few);
    lab.upstream.set_tag(NAME, "few", &few.digest);
    assert_eq!(lab.get(&Lab::manifest_path("few")).await.status, 200);
    let answer = lab.get(&Lab::blob_path(&digest)).await;
    assert!(answer.status == 200 && answer.is_whole() && answer.body == large);
    assert!(lab.transship.peak_resident_bytes() < MOST_MEMORY, "{}", lab.transship.peak_resident_bytes());
}
