//! Real clients that log in with their accounts at the upstream: docker, containerd, podman, skopeo.
//!
//! Must not know: HTTP. Invariants: each client pulls with a login and is refused without; the image is cached after the
//! first, so that what refuses the others is their lack of a right and nothing else.

use serde_json::{Value, json};
use tempfile::tempdir;
use testkit::clients::{Containerd, Docker, Podman, Skopeo};
use testkit::image::Image;
use testkit::port;
use testkit::program::Finished;
use testkit::upstream::{Access, Account, Accounts, Login};

use crate::lab::{Lab, LabSetup};
use crate::pull_through::one_at_a_time;

const NAME: &str = "team/secret";
const CREDENTIALS: &str = "ann:canary-ann-77e1";

/// The repository `lab`, served alone at a port of its own and among others at the main one.
struct House {
    lab: Lab,
    own: String,
}

/// The repository `lab` at an address that it shares with nobody (of its own) or with the built-in ones; `config` says more.
/// `team/open` is public.
fn shared(config: Value) -> Lab {
    let repository = json!({ "auth": "passthrough" });
    let lab = Lab::with(LabSetup { repository, config, ..LabSetup::default() });
    for name in [NAME, "team/open"] {
        lab.upstream.add_image(name, "1", &Image::small(1, 50_000));
    }
    let rights = vec![(Account::new("ann", "canary-ann-77e1"), vec![NAME.to_owned()])];
    let public = vec!["team/open".to_owned()];
    lab.upstream.set_access(Access::Accounts(Accounts { login: Login::Bearer, rights, public }));
    lab
}

/// `skopeo copy` of an image with these words about a login.
fn copy(image: &str, login: &[&str]) -> Finished {
    let folder = tempdir().unwrap();
    let (source, target) = (format!("docker://{image}"), format!("oci:{}:pulled", folder.path().display()));
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    Skopeo::new().command(&[&copy[..], login, &[&source, &target]].concat())
}

impl House {
    fn start() -> Self {
        let own = format!("127.0.0.1:{}", port::free_port());
        let lab =
            Lab::with(LabSetup { repository: json!({ "auth": "passthrough", "listen": own }), ..LabSetup::default() });
        lab.upstream.add_image(NAME, "1", &Image::small(1, 50_000));
        let rights = vec![(Account::new("ann", "canary-ann-77e1"), vec![NAME.to_owned()])];
        lab.upstream.set_access(Access::Accounts(Accounts { login: Login::Bearer, rights, public: Vec::new() }));
        Self { lab, own }
    }

    /// The image's address among other repositories, and at the repository's own listener.
    fn addresses(&self) -> [String; 2] {
        [format!("{}/lab/{NAME}:1", self.lab.transship.host()), format!("{}/{NAME}:1", self.own)]
    }
}

#[track_caller]
fn refused(what: Finished) {
    let said = what.expect_failure().to_lowercase();
    assert!(said.contains("unauthorized") || said.contains("denied") || said.contains("auth"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_and_podman_pull_with_their_login_and_not_without() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    // They take their challenge from `/v2/`, which asks for a login at the repository's own listener only.
    let [_, image] = house.addresses();
    let (folder, source) = (tempdir().unwrap(), format!("docker://{image}"));
    let target = format!("oci:{}:pulled", folder.path().display());
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    let skopeo = Skopeo::new();
    let with = |login: &[&str]| skopeo.command(&[&copy[..], login, &[&source, &target]].concat());
    with(&["--src-creds", CREDENTIALS]).expect_success();
    refused(with(&[]));
    refused(with(&["--src-creds", "ann:wrong"]));

    let podman = Podman::start("");
    refused(podman.pull(&image));
    podman.pull_as(&image, CREDENTIALS).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_with_its_login_and_not_without() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    let containerd = Containerd::start();
    for image in house.addresses() {
        refused(containerd.pull(&image));
        containerd.pull_as(&image, CREDENTIALS).expect_success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in_and_pulls_at_the_repositorys_own_listener() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    let docker = Docker::start(&json!({}));
    let [_, own] = house.addresses();
    refused(docker.pull(&own));
    refused(docker.command(&["login", "--username", "ann", "--password", "wrong", &house.own]));
    docker.command(&["login", "--username", "ann", "--password", "canary-ann-77e1", &house.own]).expect_success();
    docker.pull(&own).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_logs_in_at_an_address_where_all_repositories_want_a_login() {
    let _turn = one_at_a_time().await;
    let lab = shared(json!({ "builtin_upstreams": false }));
    let host = lab.transship.host();
    let image = format!("{host}/lab/{NAME}:1");
    copy(&image, &["--src-creds", CREDENTIALS]).expect_success();
    refused(copy(&image, &[]));
    refused(copy(&image, &["--src-creds", "ann:wrong"]));
    let podman = Podman::start("");
    refused(podman.pull(&image));
    podman.pull_as(&image, CREDENTIALS).expect_success();
    let docker = Docker::start(&json!({}));
    refused(docker.pull(&image));
    refused(docker.command(&["login", "--username", "ann", "--password", "wrong", &host]));
    docker.command(&["login", "--username", "ann", "--password", "canary-ann-77e1", &host]).expect_success();
    docker.pull(&image).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_v2_always_asks_logins_are_taken_and_the_open_repositories_stay_open_to_some() {
    let _turn = one_at_a_time().await;
    // The built-in repositories want no login: `/v2/` asks because it is told to.
    let lab = shared(json!({ "v2_login": "always" }));
    assert_eq!(lab.get("/v2/").await.status, 401);
    let host = lab.transship.host();
    let open = json!({ "key": "open", "upstream": lab.upstream.url(), "internal": true });
    assert_eq!(lab.api("POST", "/api/repos", Some(open)).await.status, 201);
    let (private, public) = (format!("{host}/lab/{NAME}:1"), format!("{host}/open/team/open:1"));
    copy(&private, &["--src-creds", CREDENTIALS]).expect_success();
    refused(copy(&private, &[]));
    copy(&public, &[]).expect_success();
    copy(&public, &["--src-creds", CREDENTIALS]).expect_success();
    let podman = Podman::start("");
    podman.pull_as(&private, CREDENTIALS).expect_success();
    podman.pull(&public).expect_success();
    // Docker without a login gives up where `/v2/` asks for one; with one it pulls from all.
    let docker = Docker::start(&json!({}));
    refused(docker.pull(&public));
    docker.command(&["login", "--username", "ann", "--password", "canary-ann-77e1", &host]).expect_success();
    docker.pull(&private).expect_success();
    docker.pull(&public).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entrance_asks_as_it_is_told_and_its_login_opens_nothing() {
    let others_want_none = shared(json!({}));
    let all_want_one = shared(json!({ "builtin_upstreams": false }));
    let never = shared(json!({ "builtin_upstreams": false, "v2_login": "never" }));
    let always = shared(json!({ "v2_login": "always" }));
    for (lab, status) in [(&others_want_none, 200), (&all_want_one, 401), (&never, 200), (&always, 401)] {
        let answer = lab.get("/v2/").await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let asks = answer.headers.get("www-authenticate").is_some_and(|value| value.as_bytes().starts_with(b"Basic "));
        assert_eq!(asks, status == 401);
    }
    // Any account passes where it may be for any upstream, and the repository decides about it all the same.
    let stranger = [("Authorization", "Basic bm9ib2R5Om5vdGhpbmc=")];
    assert_eq!(always.get_with("/v2/", &stranger).await.status, 200);
    assert_eq!(always.get_with(&format!("/v2/lab/{NAME}/manifests/1"), &stranger).await.status, 401);
    assert_eq!(all_want_one.get_with("/v2/", &stranger).await.status, 401, "the one upstream is asked");
    let token = format!("Bearer {}", always.transship.admin_token());
    assert_eq!(always.get_with("/v2/", &[("Authorization", &token)]).await.status, 401, "no account");
}
