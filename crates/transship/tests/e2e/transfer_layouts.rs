//! What a layout had stays in it: other images, other repositories' tags, and nothing of runs that were stopped.
//!
//! Must not know: how layouts are written. Invariant: after each command the index is looked at.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::tempdir;
use testkit::image::Image;
use testkit::program::{self, Finished};

use crate::push::Hosted;
use crate::transfer::{Cli, blobs, layout};

/// Names and digests in the index of a layout.
fn named(folder: &Path) -> Vec<(String, String)> {
    let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |entry: &Value| word(&entry["annotations"]["org.opencontainers.image.ref.name"]);
    index["manifests"].as_array().unwrap().iter().map(|entry| (name(entry), word(&entry["digest"]))).collect()
}

fn of(name: &str, image: &Image) -> (String, String) {
    (name.to_owned(), image.digest().to_string())
}

/// Pushes an image of a few bytes.
fn pushed(cli: &Cli, seed: u64, target: &str) -> Image {
    let (image, folder) = (Image::small(seed, 2000), tempdir().unwrap());
    layout(folder.path(), &[("x", &image)], &[]);
    cli.run(&["push", "--oci-layout", folder.path().to_str().unwrap(), target]).expect_success();
    image
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_file_keeps_its_images_and_takes_nothing_of_a_stopped_run() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let (a, b) = (pushed(&cli, 51, "lab/a:v1"), pushed(&cli, 52, "lab/b:v1"));
    let tar = folder.path().join("two.tar").display().to_string();
    cli.run(&["pull", "lab/a:v1", "--oci-layout", &format!("{tar}:a")]).expect_success();
    // As a run leaves it that is killed while it packs.
    let stale = Image::small(53, 5000);
    layout(&folder.path().join("two.tar.partial"), &[("stale", &stale)], &[]);
    cli.run(&["pull", "lab/b:v1", "--oci-layout", &format!("{tar}:b")]).expect_success();
    for (name, image) in [("a", &a), ("b", &b)] {
        let pushed = cli.json(&["push", "--oci-layout", &format!("{tar}:{name}"), &format!("lab/out:{name}")]);
        assert_eq!(pushed["images"][0]["digest"], json!(image.digest()));
    }
    let mut list = program::command("tar", folder.path());
    let members = Finished::of(list.args(["-tf", &tar])).expect_success();
    let stays = |image: &Image| members.contains(&image.layers()[0].digest.hex());
    assert!(stays(&a) && stays(&b) && !stays(&stale), "{members}");
    assert!(!members.contains(&stale.digest().hex()) && !folder.path().join("two.tar.partial").exists());

    let notes = folder.path().join("notes.tar");
    fs::write(&notes, "no images").unwrap();
    cli.fails(&["pull", "lab/a:v1", "--oci-layout", notes.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(notes).unwrap(), "no images");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_alone_never_takes_the_name_of_another_repositorys_image() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let (a, b) = (pushed(&cli, 54, "lab/a:v1"), pushed(&cli, 55, "lab/b:v1"));
    let out = folder.path().join("out");
    let to = out.to_str().unwrap();
    cli.run(&["pull", "lab/a:v1", "--oci-layout", to]).expect_success();
    let (code, words) = cli.fails(&["pull", "lab/b:v1", "--oci-layout", to]);
    assert!(code == 2 && words.contains("behind a colon"), "{code} {words}");
    assert_eq!(named(&out), [of("v1", &a)]);
    cli.run(&["pull", "lab/b:v1", "--oci-layout", &format!("{to}:b")]).expect_success();
    assert_eq!(named(&out), [of("v1", &a), of("b", &b)]);
    let newer = pushed(&cli, 56, "lab/a:v1");
    cli.run(&["pull", "lab/a:v1", "--oci-layout", to]).expect_success();
    assert_eq!(named(&out), [of("b", &b), of("v1", &newer)], "its own it may replace");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_forgets_what_is_gone_and_leaves_what_is_of_others() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let (a, gone) = (pushed(&cli, 57, "lab/a:v1"), pushed(&cli, 58, "lab/gone:v1"));
    let other = pushed(&cli, 59, "rel/b:v1");
    let out = folder.path().join("out");
    let to = out.to_str().unwrap();
    cli.run(&["export", "lab", "--to", to]).expect_success();
    cli.run(&["export", "rel", "--to", to]).expect_success();
    assert_eq!(named(&out), [of("a:v1", &a), of("gone:v1", &gone), of("b:v1", &other)]);
    let path = format!("/v2/lab/gone/manifests/{}", gone.digest());
    let deleted = house.as_admin("DELETE", &path, &[], "").await;
    assert_eq!(deleted.status, 202, "{}", deleted.text());
    cli.run(&["export", "lab", "--to", to]).expect_success();
    assert_eq!(named(&out), [of("b:v1", &other), of("a:v1", &a)]);

    pushed(&cli, 60, "rel/a:v1");
    let (code, words) = cli.fails(&["export", "rel", "--to", to]);
    assert!(code == 2 && words.contains("a:v1"), "{code} {words}");
    assert_eq!(named(&out), [of("b:v1", &other), of("a:v1", &a)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_of_an_earlier_run_cost_no_second_command_and_nothing_is_left_of_what_is_not_there() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let image = pushed(&cli, 61, "lab/a:v1");
    let out = folder.path().join("out");
    fs::create_dir_all(out.join(".partial")).unwrap();
    fs::write(out.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let layer = image.layers()[0].digest.hex();
    fs::write(out.join(format!(".partial/sha256-{layer}")), [0; 1000]).unwrap();
    cli.run(&["pull", "lab/a:v1", "--oci-layout", out.to_str().unwrap()]).expect_success();
    assert_eq!(blobs(&out)[&layer], image.layers()[0].bytes);

    let none = folder.path().join("none");
    assert_eq!(cli.fails(&["pull", "lab/none:v1", "--oci-layout", none.to_str().unwrap()]).0, 3);
    assert!(!none.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_one_thing_and_a_login_is_looked_for_in_every_file() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let both = ["push", "--docker-archive", "-", "--username", "ci", "--password-stdin", "lab/a:v1"];
    let (code, words) = cli.fails(&both);
    assert!(code == 2 && words.contains("TRANSSHIP_PASSWORD"), "{code} {words}");
    let image = pushed(&cli, 62, "lab/a:v1");
    let tar = folder.path().join("two.tar");
    cli.run(&["pull", "lab/a:v1", "--oci-layout", &format!("{}:a", tar.display())]).expect_success();
    let mut piped = cli.command(&["push", "--docker-archive", "-:a", "rel/piped:v1", "--json"]);
    let piped = Finished::of(piped.stdin(Stdio::from(fs::File::open(&tar).unwrap())));
    let piped: Value = serde_json::from_str(&piped.expect_success()).unwrap();
    assert_eq!(piped["images"][0]["digest"], json!(image.digest()));
    assert_eq!(cli.fails(&["push", "--docker-archive", "--jso", "lab/a:v1"]).0, 2);

    let home = folder.path().join("home");
    let (docker, podman) = (home.join(".docker"), home.join(".config/containers"));
    for made in [&docker, &podman] {
        fs::create_dir_all(made).unwrap();
    }
    let auths =
        json!({ "auths": { house.transship.host(): { "username": "ci", "password": house.transship.admin_token() } } });
    fs::write(docker.join("config.json"), r#"{"auths":{}}"#).unwrap();
    fs::write(podman.join("auth.json"), auths.to_string()).unwrap();
    let target = format!("{}/rel/podman:v1", house.transship.host());
    let nobody = Cli::nobody().with("HOME", home.display().to_string());
    nobody.run(&["push", "--oci-layout", &format!("{}:a", tar.display()), &target]).expect_success();
}
