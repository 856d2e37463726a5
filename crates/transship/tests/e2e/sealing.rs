//! Credentials at rest: sealed in the cache folder, their key changed while the server runs and while it does not.
//!
//! Must not know: how they are sealed. Invariant: after each change the private image is still pulled, and no file but
//! the key file has what is needed to read the password.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{Access, Account};

use crate::lab::{Lab, NAME, PROGRAM};

const PASSWORD: &str = "canary-sealed-77d1";

/// Whether a file of the folder holds the password.
fn holds_password(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds_password(&path);
        }
        fs::read(path).unwrap().windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes())
    })
}

async fn lab() -> Lab {
    let lab = Lab::start();
    lab.upstream.add_image(NAME, "1", &Image::small(1, 1_000));
    lab.upstream.set_access(Access::Basic(Account::new("ci", PASSWORD)));
    let document = json!({
        "key": "added", "upstream": lab.upstream.url(), "internal": true, "tag_ttl": "0s",
        "auth": { "username": "ci", "password": PASSWORD },
    });
    assert_eq!(lab.api("POST", "/api/repos", Some(document)).await.status, 201);
    lab
}

async fn pulls(lab: &Lab) -> u16 {
    lab.get(&format!("/v2/added/{NAME}/manifests/1")).await.status
}

fn rotate(lab: &Lab) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["secrets", "rotate", "--cache-dir"]).arg(lab.transship.cache_dir());
    command.env_clear().env("HOME", lab.transship.cache_dir()).output().unwrap()
}

fn key_file(lab: &Lab) -> String {
    fs::read_to_string(lab.transship.cache_dir().join("secrets/sealing.keys")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_changes_while_the_server_runs_and_while_it_does_not() {
    let mut lab = lab().await;
    assert_eq!(pulls(&lab).await, 200);
    assert!(!holds_password(&lab.transship.cache_dir()));
    let first = key_file(&lab);

    let rotated = rotate(&lab);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let second = key_file(&lab);
    let key = |file: &str| file.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
    assert_ne!(key(&first), key(&second));
    assert!(!second.contains(&key(&first)), "the former key is gone");
    assert!(!lab.transship.log_text().contains(&key(&second)), "no key is logged");
    assert!(!String::from_utf8_lossy(&rotated.stdout).contains(&key(&second)), "no key is printed");
    assert_eq!(pulls(&lab).await, 200);

    lab.transship.terminate();
    let rotated = rotate(&lab);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert!(!key_file(&lab).contains(&key(&second)));
    lab.transship.start_again();
    assert_eq!(pulls(&lab).await, 200);
    assert!(!holds_password(&lab.transship.cache_dir()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_stops_the_start_with_its_name_and_bringing_it_back_loses_nothing() {
    let mut lab = lab().await;
    lab.transship.terminate();
    let file = lab.transship.cache_dir().join("secrets/sealing.keys");
    let kept = key_file(&lab);
    fs::remove_file(&file).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--cache-dir"]).arg(lab.transship.cache_dir());
    let refused = command.env_clear().env("HOME", lab.transship.cache_dir()).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("\"added\" is sealed with the key"), "{told}");
    fs::write(&file, kept).unwrap();
    lab.transship.start_again();
    assert_eq!(pulls(&lab).await, 200);
}
