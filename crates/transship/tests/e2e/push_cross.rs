//! One store under many names: what somebody may do with a name says nothing of another one.
//!
//! Must not know: how bytes are shared. Invariant: each refusal is compared with that of something that was never there.

use oci::Digest;
use serde_json::json;
use testkit::transship_process::TransshipSetup;
use testkit::upstream::FakeUpstream;

use crate::http::Answer;
use crate::push::{Hosted, IMAGE, manifest};

/// What an answer tells, without what differs with every request.
fn told(answer: &Answer) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (answer.status, headers, text(answer))
}

/// The body without the number of the request.
fn text(answer: &Answer) -> String {
    let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { return answer.text() };
    body["errors"][0]["detail"].take();
    body.to_string()
}

/// J05. A blob is deleted under one name while others mount, push and read the same bytes: whoever still has it reads all of
/// it, and where it was deleted it is unknown, although its bytes are in the store.
#[tokio::test(flavor = "multi_thread")]
async fn j05_a_delete_under_one_name_takes_nothing_from_others() {
    let house = Hosted::start();
    let bytes = testkit::image::blob(5, 3 << 20).to_vec();
    let digest = Digest::sha256_of(&bytes);
    let (own, other) = ("lab/own", "rel/other");
    house.push_blob(other, &bytes).await;
    for round in 0..20 {
        house.push_blob(own, &bytes).await;
        let mount = format!("/v2/lab/third/blobs/uploads/?mount={digest}&from={own}");
        let delete = format!("/v2/{own}/blobs/{digest}");
        let read = format!("/v2/{other}/blobs/{digest}");
        let (deleted, mounted, read) = tokio::join!(
            house.send("DELETE", &delete, &[], ""),
            house.send("POST", &mount, &[], ""),
            house.send("GET", &read, &[], ""),
        );
        assert_eq!(deleted.status, 202);
        assert!(read.status == 200 && read.body == bytes, "round {round}: {}", read.status);
        let gone = house.send("GET", &delete, &[], "").await;
        let never = house.send("GET", &format!("/v2/{own}/blobs/{}", Digest::sha256_of(b"never")), &[], "").await;
        assert_eq!((gone.status, never.status), (404, 404), "round {round}");
        let third = house.send("GET", &format!("/v2/lab/third/blobs/{digest}"), &[], "").await;
        match mounted.status {
            201 => {
                assert!(third.status == 200 && third.body == bytes, "round {round}");
                house.send("DELETE", &format!("/v2/lab/third/blobs/{digest}"), &[], "").await;
            }
            202 => {
                assert_eq!(third.status, 404, "round {round}");
                assert_eq!(house.send("DELETE", mounted.header("location"), &[], "").await.status, 204);
            }
            status => panic!("round {round}: {status}: {}", mounted.text()),
        }
    }
    house.as_admin("DELETE", &format!("/v2/{other}/blobs/{digest}"), &[], "").await;
    assert_eq!(house.files(), (0, 0), "and when nobody has it any more, it is gone");
}

/// C03. An upload belongs to its name, its repository and whoever began it: nobody else goes on with it, asks for it, ends
/// it, or learns that it is there; what has ended or was cancelled stays so.
#[tokio::test(flavor = "multi_thread")]
async fn c03_an_upload_is_nobody_elses() {
    let house = Hosted::start();
    let begun = house.as_admin("POST", "/v2/lab/app/blobs/uploads/", &[], "").await;
    let at = begun.header("location").to_owned();
    assert_eq!(house.as_admin("PATCH", &at, &[], "mine").await.status, 202);
    let id = at.rsplit('/').next().unwrap();
    let digest = Digest::sha256_of(b"minetheirs");
    let never = "0b8e7c1a-0123-4567-89ab-cdef01234567";
    let put = |path: &str| format!("{path}?digest={digest}");
    for (name, as_admin) in [("lab/app", false), ("lab/other", true), ("rel/app", true)] {
        let (taken, unknown) = (format!("/v2/{name}/blobs/uploads/{id}"), format!("/v2/{name}/blobs/uploads/{never}"));
        for (method, taken, unknown) in [
            ("GET", taken.clone(), unknown.clone()),
            ("PATCH", taken.clone(), unknown.clone()),
            ("PUT", put(&taken), put(&unknown)),
            ("DELETE", taken.clone(), unknown.clone()),
        ] {
            let ask = async |path: &str| {
                if as_admin {
                    house.as_admin(method, path, &[], "theirs").await
                } else {
                    house.send(method, path, &[], "theirs").await
                }
            };
            let (one, two) = (ask(&taken).await, ask(&unknown).await);
            assert_eq!((one.status, told(&one)), (404, told(&two)), "{method} {taken}");
        }
    }
    for id in [id.to_uppercase(), id.replace('-', ""), format!("{id}x"), format!("{{{id}}}")] {
        let other = house.as_admin("PATCH", &format!("/v2/lab/app/blobs/uploads/{id}"), &[], "theirs").await;
        assert!(matches!(other.status, 400 | 404), "{id}: {}", other.status);
    }
    let status = house.as_admin("GET", &at, &[], "").await;
    assert_eq!((status.status, status.header("range")), (204, "0-3"), "nothing of theirs came into it");
    let done = house.as_admin("PUT", &format!("{at}?digest={}", Digest::sha256_of(b"mine")), &[], "").await;
    assert_eq!(done.status, 201);
    let cancelled = house.as_admin("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.header("location").to_owned();
    assert_eq!(house.as_admin("DELETE", &cancelled, &[], "").await.status, 204);
    for ended in [at, cancelled] {
        for method in ["GET", "PATCH", "DELETE"] {
            assert_eq!(house.as_admin(method, &ended, &[], "more").await.status, 404, "{method} {ended}");
        }
        assert_eq!(house.as_admin("PUT", &put(&ended), &[], "more").await.status, 404);
    }
    assert_eq!(house.files(), (1, 0));
}

/// C06. Naming the digest of somebody else's blob opens nothing: without its bytes there is no upload that ends well, no
/// manifest that may list it, and no answer that says it is in the store.
#[tokio::test(flavor = "multi_thread")]
async fn c06_the_digest_of_anothers_blob_is_no_right_to_it() {
    let house = Hosted::start();
    let secret = house.push_blob("rel/secret", b"secret").await;
    house.push_blob("lab/app", b"{}").await;
    let never = Digest::sha256_of(b"never");
    let both = async |method: &str, path: &dyn Fn(&Digest) -> String, body: &dyn Fn(&Digest) -> String| {
        let typed = [("Content-Type", IMAGE)];
        let typed = if body(&never).is_empty() { &[][..] } else { &typed[..] };
        let ask = async |digest: &Digest| house.send(method, &path(digest), typed, body(digest)).await;
        let (one, two) = (ask(&secret).await, ask(&never).await);
        let said = text(&one).replace(&secret.to_string(), &never.to_string());
        assert_eq!((one.status, said), (two.status, text(&two)), "{method} {}", path(&secret));
        one.status
    };
    let nothing = |_: &Digest| String::new();
    assert_eq!(both("GET", &|digest| format!("/v2/lab/app/blobs/{digest}"), &nothing).await, 404);
    assert_eq!(both("HEAD", &|digest| format!("/v2/lab/app/blobs/{digest}"), &nothing).await, 404);
    assert_eq!(both("DELETE", &|digest| format!("/v2/lab/app/blobs/{digest}"), &nothing).await, 404);
    // Said with an empty body, in one request and as the last of several.
    let at_once = house.send("POST", &format!("/v2/lab/app/blobs/uploads/?digest={secret}"), &[], "").await;
    assert_eq!((at_once.status, at_once.json()["errors"][0]["code"].as_str()), (400, Some("DIGEST_INVALID")));
    let begun = house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.header("location").to_owned();
    let last = house.send("PUT", &format!("{begun}?digest={secret}"), &[], "").await;
    assert_eq!((last.status, last.json()["errors"][0]["code"].as_str()), (400, Some("DIGEST_INVALID")));
    assert_eq!(house.send("DELETE", &begun, &[], "").await.status, 204);
    let naming = |digest: &Digest| manifest(&[(*digest, 6)]);
    assert_eq!(both("PUT", &|_| "/v2/lab/app/manifests/x".into(), &naming).await, 400);
    assert_eq!(house.send("GET", &format!("/v2/lab/app/blobs/{secret}"), &[], "").await.status, 404);
    assert_eq!(house.files(), (2, 0), "nothing came of it");
}

/// C07. A mount from where the caller may not read, and from where nothing is, are answered alike: with an upload that takes
/// the bytes. What a cache holds is its upstream's to give, whoever may pull it.
#[tokio::test(flavor = "multi_thread")]
async fn c07_a_mount_without_the_right_to_read_looks_like_one_from_nowhere() {
    let upstream = FakeUpstream::start();
    let cached = upstream.add_blob("team/app", b"cached bytes".to_vec());
    let hub = json!({ "kind": "proxy", "upstream": upstream.url(), "internal": true });
    let lab = json!({ "kind": "hosted", "push": "anyone" });
    let house = Hosted::set_up(&json!({ "repos": { "hub": hub, "lab": lab } }), TransshipSetup::default());
    assert_eq!(house.send("GET", &format!("/v2/hub/team/app/blobs/{cached}"), &[], "").await.status, 200);
    let here = house.push_blob("lab/here", b"pushed bytes").await;
    let never = Digest::sha256_of(b"never");
    let mut answers = Vec::new();
    for (digest, from) in [
        (never, "lab/nothing"),
        (never, "nowhere/at/all"),
        (here, "lab/nothing"),
        (here, "nowhere/at/all"),
        (cached, "hub/team/app"),
        (never, "hub/team/app"),
        (never, "lab/here"),
        (never, "NOT+A+NAME"),
    ] {
        let mount = format!("/v2/lab/app/blobs/uploads/?mount={digest}&from={from}");
        let answer = house.send("POST", &mount, &[], "").await;
        assert_eq!((answer.status, answer.body.len()), (202, 0), "{from}: {}", answer.text());
        let at = answer.header("location").to_owned();
        assert!(at.starts_with("/v2/lab/app/blobs/uploads/"), "{at}");
        let got = house.send("GET", &format!("/v2/lab/app/blobs/{digest}"), &[], "").await;
        assert_eq!(got.status, 404, "{from}");
        assert_eq!(house.send("DELETE", &at, &[], "").await.status, 204);
        answers.push(told(&answer));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    // From a name that may be read it is a link at once.
    let mounted = house.send("POST", &format!("/v2/lab/app/blobs/uploads/?mount={here}&from=lab/here"), &[], "").await;
    assert_eq!((mounted.status, mounted.header("docker-content-digest")), (201, here.to_string().as_str()));
    assert_eq!(house.files(), (1, 0));
}
