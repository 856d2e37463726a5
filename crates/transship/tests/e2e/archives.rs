//! Files in and out: umoci's layouts, docker's archives, whole repositories, and commands killed at any moment.
//!
//! Must not know: how layouts are written. Invariant: what other tools make of our files, and we of theirs, has the same digests.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;
use testkit::clients::{Docker, Skopeo};
use testkit::hello_program;
use testkit::image::{self, Dialect, Image};
use testkit::program::{self, Finished};
use testkit::registry_peer::RegistryPeer;

use crate::http;
use crate::pull_through::one_at_a_time;
use crate::push::Hosted;
use crate::transfer::{Cli, blobs, layout, multi};

fn umoci(home: &Path, words: &[&str]) -> Finished {
    let mut command = program::command("umoci", home);
    Finished::of(command.current_dir(home).args(words))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_umoci_built_is_unpacked_by_umoci_again() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let (cli, home) = (Cli::of(&house), folder.path());
    umoci(home, &["init", "--layout", "made"]).expect_success();
    umoci(home, &["new", "--image", "made:v1"]).expect_success();
    fs::create_dir_all(home.join("tree/bin")).unwrap();
    fs::write(home.join("tree/bin/tool"), image::blob(1, 700_000)).unwrap();
    fs::write(home.join("tree/read me"), "text").unwrap();
    umoci(home, &["insert", "--image", "made:v1", "tree", "/opt"]).expect_success();
    let pushed = cli.json(&["push", "--oci-layout", &format!("{}:v1", text(&home.join("made"))), "rel/tools:v1"]);
    cli.run(&["pull", "rel/tools:v1", "--oci-layout", &format!("{}:again", text(&home.join("pulled")))])
        .expect_success();
    umoci(home, &["unpack", "--rootless", "--image", "pulled:again", "bundle"]).expect_success();
    assert_eq!(fs::read(home.join("bundle/rootfs/opt/bin/tool")).unwrap(), image::blob(1, 700_000));
    assert_eq!(fs::read_to_string(home.join("bundle/rootfs/opt/read me")).unwrap(), "text");
    let skopeo = Skopeo::new();
    let there = format!("{}/rel/tools:v1", house.transship.host());
    skopeo.pull(&there, &home.join("skopeo")).expect_success();
    assert_eq!(blobs(&home.join("skopeo")), blobs(&home.join("pulled")));
    let digest = pushed["images"][0]["digest"].as_str().unwrap();
    assert!(blobs(&home.join("pulled")).contains_key(&digest["sha256:".len()..]));
    // The other way: a layout that skopeo wrote.
    let moved = cli.json(&["push", "--oci-layout", text(&home.join("skopeo")), "lab/tools:1"]);
    assert_eq!(moved["images"][0]["digest"], pushed["images"][0]["digest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_loads_what_we_wrote_and_we_push_what_docker_saved() {
    let _turn = one_at_a_time().await;
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let (cli, docker, source) = (Cli::of(&house), Docker::start(&json!({})), RegistryPeer::start_plain());
    let built = hello_program::image(Dialect::Oci);
    let from = source.push("hello", "1", &built);
    docker.pull(&from).expect_success();
    docker.command(&["tag", &from, "hello:saved"]).expect_success();
    let id = docker.command(&["image", "inspect", "--format", "{{.Id}}", &from]).expect_success();
    let saved = folder.path().join("saved.tar");
    docker.command(&["save", "--output", text(&saved), "hello:saved"]).expect_success();

    // From a file, and the same from standard input.
    let pushed = cli.json(&["push", "--docker-archive", text(&saved), "rel/hello:v1"]);
    let mut piped = cli.command(&["push", "--docker-archive", "-", "rel/hello:v1", "--json"]);
    let piped = Finished::of(piped.stdin(Stdio::from(fs::File::open(&saved).unwrap())));
    let piped: Value = serde_json::from_str(&piped.expect_success()).unwrap();
    assert_eq!((&piped["images"], &piped["bytes"]), (&pushed["images"], &json!(0)));
    docker.remove("hello:saved");
    docker.remove(&from);
    let there = format!("{}/rel/hello:v1", house.transship.host());
    docker.pull(&there).expect_success();
    assert_eq!(docker.command(&["image", "inspect", "--format", "{{.Id}}", &there]).expect_success(), id);
    assert_eq!(docker.run(&there, &["/bin/echo", "saved"]).expect_success().trim(), "saved");
    docker.remove(&there);

    let written = folder.path().join("written.tar");
    cli.run(&["copy", &from, "rel/hello:v2"]).expect_success();
    let full = format!("{}/rel/hello:v2", house.transship.host());
    cli.run(&["pull", &full, "--docker-archive", text(&written)]).expect_success();
    assert!(!folder.path().join("written.tar.partial").exists());
    docker.command(&["load", "--input", text(&written)]).expect_success();
    assert_eq!(docker.command(&["image", "inspect", "--format", "{{.Id}}", &full]).expect_success(), id);
    assert_eq!(docker.run(&full, &["/bin/echo", "loaded"]).expect_success().trim(), "loaded");
    // It is a layout too: digests stay.
    let skopeo = Skopeo::new();
    let (archive, out) = (format!("oci-archive:{}", text(&written)), folder.path().join("out"));
    let into = format!("oci:{}:x", text(&out));
    skopeo.command(&["copy", "--quiet", "--preserve-digests", &archive, &into]).expect_success();
    assert!(blobs(&out).contains_key(&built.digest().hex()));
    let again = cli.json(&["push", "--docker-archive", text(&written), "lab/hello:1"]);
    assert_eq!(again["images"][0]["digest"], json!(built.digest()));
}

async fn get(house: &Hosted, path: &str) -> (u16, Vec<u8>) {
    let url = format!("{}{path}", house.transship.url());
    let answer = http::send(&http::client(), "GET", &url, &[], Vec::new()).await;
    (answer.status, answer.body)
}

/// Names, tags, manifests and referrers of `rel`, as they are answered.
async fn picture(house: &Hosted, paths: &[String]) -> Vec<(u16, String)> {
    let mut all = Vec::new();
    for path in paths {
        let (status, body) = get(house, path).await;
        all.push((status, String::from_utf8_lossy(&body).into_owned()));
    }
    all
}

/// A repository of three names: an index with two referrers, images that share blobs, an artifact.
fn fill(house: &Hosted, folder: &Path) -> Vec<String> {
    let cli = Cli::of(house);
    let (index, signature, sbom) = multi();
    let shared = Image::small(21, 3 << 20);
    let chart = image::artifact("application/vnd.cncf.helm.config.v1+json", "a chart", None);
    let multi = folder.join("multi");
    layout(&multi, &[("v1", &index)], &[&signature, &sbom]);
    let others = folder.join("others");
    layout(&others, &[("shared", &shared), ("chart", &chart)], &[]);
    cli.run(&["push", "--oci-layout", text(&multi), "rel/team/multi:v1", "--referrers"]).expect_success();
    for (from, to) in [
        ("shared", "rel/app:v1"),
        ("shared", "rel/app:latest"),
        ("shared", "rel/team/same:1"),
        ("chart", "rel/charts/c:1"),
    ] {
        cli.run(&["push", "--oci-layout", &format!("{}:{from}", text(&others)), to]).expect_success();
    }
    let names = ["team/multi", "app", "team/same", "charts/c"];
    let mut paths: Vec<String> = names.iter().map(|name| format!("/v2/rel/{name}/tags/list")).collect();
    let manifests = [("team/multi", "v1"), ("app", "v1"), ("app", "latest"), ("team/same", "1"), ("charts/c", "1")];
    paths.extend(manifests.iter().map(|(name, tag)| format!("/v2/rel/{name}/manifests/{tag}")));
    paths.extend(index.children.iter().map(|child| format!("/v2/rel/team/multi/manifests/{}", child.digest())));
    paths.push(format!("/v2/rel/team/multi/referrers/{}", index.digest()));
    paths.push(format!("/v2/rel/app/blobs/{}", shared.layers()[0].digest));
    paths.push("/v2/_catalog".to_owned());
    paths
}

/// Runs a command that is killed after a random time, again and again until it ends by itself.
fn killed_again_and_again(cli: &Cli, words: &[&str], random: &mut fastrand::Rng, longest: Duration) -> u32 {
    let mut kills = 0;
    for _ in 0..10 {
        let mut child = cli.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + longest.mul_f64(random.f64());
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    cli.run(words).expect_success();
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_the_same_at_another_server_though_both_ways_were_killed_ten_times() {
    let seed = std::env::var("TRANSSHIP_TEST_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("TRANSSHIP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (here, there, folder) = (Hosted::start(), Hosted::start(), tempdir().unwrap());
    let paths = fill(&here, folder.path());
    let (target, tar) = (folder.path().join("exported"), folder.path().join("exported.tar"));

    // How long it takes undisturbed tells how late a kill may come.
    let begun = Instant::now();
    let whole = Cli::of(&here).json(&["export", "rel", "--to", text(&tar)]);
    let longest = begun.elapsed();
    assert_eq!(whole["images"].as_array().unwrap().len(), 7, "{whole}");
    assert!(!folder.path().join("exported.tar.partial").exists());

    let export = ["export", "rel", "--to", text(&target)];
    let kills = killed_again_and_again(&Cli::of(&here), &export, &mut random, longest);
    assert!(!target.join(".partial").exists());
    let again = Cli::of(&here).json(&export);
    assert_eq!((&again["blobs"]["moved"], &again["bytes"]), (&json!(0), &json!(0)), "nothing is moved twice");
    let from_tar = folder.path().join("unpacked");
    fs::create_dir(&from_tar).unwrap();
    let mut unpack = program::command("tar", folder.path());
    Finished::of(unpack.arg("-xf").arg(&tar).arg("-C").arg(&from_tar)).expect_success();
    assert_eq!(blobs(&from_tar), blobs(&target));

    let import = ["import", text(&target), "rel"];
    let kills = kills + killed_again_and_again(&Cli::of(&there), &import, &mut random, longest);
    assert!(kills > 0, "no kill came in time");
    assert_eq!(picture(&there, &paths).await, picture(&here, &paths).await);
    let again = Cli::of(&there).json(&["import", text(&tar), "rel"]);
    assert_eq!((&again["blobs"]["moved"], &again["manifests"]["moved"]), (&json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_one_name_keeps_the_others_of_the_layout_and_a_missing_one_is_said() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    fill(&house, folder.path());
    let (cli, out) = (Cli::of(&house), folder.path().join("out"));
    cli.run(&["export", "rel/app:v1", "--to", text(&out)]).expect_success();
    cli.run(&["export", "rel/team/same", "--to", text(&out)]).expect_success();
    let index: Value = serde_json::from_slice(&fs::read(out.join("index.json")).unwrap()).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app:v1", "team/same:1"]);
    assert_eq!(cli.fails(&["export", "none", "--to", text(&folder.path().join("x"))]).0, 3);
    assert_eq!(cli.fails(&["export", "rel/app:no", "--to", text(&folder.path().join("x"))]).0, 3);
    // A tag alone says not where it belongs.
    let (code, words) = cli.fails(&["import", text(&folder.path().join("multi")), "lab"]);
    assert!(code == 2 && words.contains("--name"), "{words}");
    cli.run(&["import", text(&folder.path().join("multi")), "lab", "--name", "m"]).expect_success();
    assert_eq!(get(&house, "/v2/lab/m/manifests/v1").await.0, 200);
}
