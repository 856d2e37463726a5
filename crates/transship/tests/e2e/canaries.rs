//! One scan for every secret: each form of credential with a text of its own, pulls that succeed and pulls that fail, and
//! then none of the texts anywhere but where it was meant to go.
//!
//! Must not know: how secrets are kept. Invariants: every secret did arrive at its own host, so there was something to
//! lose; whatever the program wrote, answered, stored or sent is searched, in the clear and in base64.

mod places;
mod scene;

use testkit::image::Image;
use testkit::upstream::{Fault, Location, Target};

use crate::lab::NAME;
use places::Shown;
use scene::{Scene, encodings};

/// Pulls manifest, config and layer through a repository; gives the status of the manifest.
async fn pull(scene: &Scene, shown: &mut Shown, key: &str, image: &Image) -> u16 {
    let manifest = scene.get(&format!("/v2/{key}/{NAME}/manifests/1")).await;
    shown.answer(key, &manifest);
    for blob in &image.blobs {
        let answer = scene.get(&format!("/v2/{key}/{NAME}/blobs/{}", blob.digest)).await;
        shown.answer(key, &answer);
        if manifest.status == 200 {
            assert_eq!((answer.status, answer.body == blob.bytes), (200, true), "{key}: {}", answer.status);
        }
    }
    let tags = scene.get(&format!("/v2/{key}/{NAME}/tags/list")).await;
    shown.answer(key, &tags);
    let referrers = scene.get(&format!("/v2/{key}/{NAME}/referrers/{}", image.digest())).await;
    shown.answer(key, &referrers);
    manifest.status
}

/// What each upstream does to our secrets when it fails: it says back what it was sent.
fn echo(scene: &Scene) {
    for host in scene.hosts() {
        let mut sent = host.fake.credentials_seen();
        // Access tokens stand in the headers. A cloud's token that was exchanged for a login once is not remembered, so its
        // echo in a later answer is not recognised.
        let remembered = |secret: &&&str| !secret.starts_with("fake-") && !secret.starts_with("canary-azuretoken");
        sent.extend(host.may.iter().filter(remembered).map(|secret| (*secret).to_owned()));
        sent.sort();
        sent.dedup();
        let said = sent.join(" ");
        let body = format!("you sent {said}");
        let headers = vec![
            ("Content-Type".to_owned(), "text/plain".to_owned()),
            ("X-Echo".to_owned(), said.clone()),
            ("Www-Authenticate".to_owned(), format!("Basic realm=\"{said}\"")),
        ];
        for (reference, status) in [("echo400", 400), ("echo401", 401), ("echo403", 403), ("echo500", 500)] {
            let reply = Fault::Reply(status, headers.clone(), body.clone().into());
            host.fake.fault(Target::manifest(reference), reply);
        }
        let there = format!("{}/x?X-Amz-Signature={}", scene.stranger().url(), scene::SIGNATURE);
        host.fake.fault(Target::manifest("elsewhere"), Fault::Redirect(307, Location::Fixed(there)));
        let odd = format!("http://ci:{}@{}/x", scene::SIGNATURE, scene.stranger().host());
        host.fake.fault(Target::manifest("odd"), Fault::Redirect(307, Location::Fixed(odd)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_is_where_it_belongs_and_nowhere_else() {
    let mut scene = Scene::start().await;
    let mut shown = Shown::default();
    let image = Image::small(41, 300_000);
    scene.add(&image);
    for key in Scene::good() {
        assert_eq!(pull(&scene, &mut shown, key, &image).await, 200, "{key}\n{}", scene.transship.log_text());
    }
    for (key, status) in Scene::bad() {
        assert_eq!(pull(&scene, &mut shown, key, &image).await, status, "{key}");
    }
    scene.pull_with_own_account(&mut shown, &image).await;
    echo(&scene);
    let keys: Vec<&str> = Scene::good().into_iter().chain(Scene::bad().into_iter().map(|(key, _)| key)).collect();
    for key in &keys {
        for reference in ["echo400", "echo401", "echo403", "echo500", "elsewhere", "odd"] {
            shown.answer(key, &scene.get(&format!("/v2/{key}/{NAME}/manifests/{reference}")).await);
        }
    }
    scene.reload_with_mistakes().await;
    scene.look_everywhere(&mut shown, &keys).await;
    assert!(scene.transship.terminate().success(), "the last spans are sent at the end");
    scene.read_what_is_left(&mut shown);

    for (secret, host) in scene.must_have_arrived() {
        let seen = scene.seen_at(host);
        assert!(encodings(secret).iter().any(|form| seen.contains(form)), "{secret} never came to {host}");
    }
    for secret in scene.secrets() {
        for form in encodings(&secret) {
            shown.assert_without(&form);
            for (host, seen) in scene.seen_where_it_does_not_belong(&secret) {
                let place = seen.find(&form).map(|at| seen[at.saturating_sub(200)..at].to_owned());
                assert_eq!(place, None, "{secret} came to {host} after this");
            }
        }
    }
}
