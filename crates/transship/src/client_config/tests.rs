//! Every client's files: where they belong, and that what was wanted is in them.

use clap::ValueEnum;

use super::*;

fn wanted(server: &str, fallback: Fallback) -> Wanted {
    Wanted {
        server: server.parse().unwrap(),
        hub_mirror: None,
        registries: vec!["docker.io".into(), "ghcr.io".into()],
        fallback,
        ca: server.starts_with("https").then(|| "/etc/ssl/corp.pem".into()),
    }
}

#[test]
fn every_client_gets_the_server_and_every_registry() {
    for client in ContainerClient::value_variants() {
        for server in ["http://127.0.0.1:5000", "https://mirror.example"] {
            let setup = setup(*client, &wanted(server, Fallback::Registry));
            let text = setup.text();
            assert!(!setup.files.is_empty() && !setup.notes.is_empty(), "{client:?}");
            let host = server.split("//").nth(1).unwrap();
            for word in [host, "docker.io", "ghcr.io"] {
                assert!(text.contains(word), "{client:?} {word}: {text}");
            }
            assert_eq!(text.contains("/etc/ssl/corp.pem"), server.starts_with("https"), "{client:?}: {text}");
        }
    }
}

#[test]
fn without_a_fallback_the_registry_itself_is_not_named_as_a_server() {
    let alone = |client| setup(client, &wanted("http://10.1.1.1:5000", Fallback::None)).text();
    let containerd = alone(ContainerClient::Containerd);
    assert!(containerd.contains("server = \"http://10.1.1.1:5000\"") && !containerd.contains("https://"));
    let podman = alone(ContainerClient::Podman);
    assert!(podman.contains("location = \"10.1.1.1:5000/docker.io\"") && !podman.contains("location = \"docker.io\""));
    assert!(alone(ContainerClient::Talos).contains("skipFallback: true"));
    assert!(alone(ContainerClient::K3s).contains("--disable-default-registry-endpoint"));
}

#[test]
fn dockers_older_store_is_told_of_the_listener_and_of_plain_http() {
    let with = |mirror: &str| {
        let wanted =
            Wanted { hub_mirror: Some(mirror.parse().unwrap()), ..wanted("http://127.0.0.1:5000", Fallback::Registry) };
        setup(ContainerClient::Docker, &wanted).files.pop().unwrap()
    };
    let near: serde_json::Value = serde_json::from_str(&with("http://127.0.0.1:5001").text).unwrap();
    assert_eq!(near, serde_json::json!({ "registry-mirrors": ["http://127.0.0.1:5001"] }));
    let far: serde_json::Value = serde_json::from_str(&with("http://10.1.1.1:5001").text).unwrap();
    assert_eq!(far["insecure-registries"], serde_json::json!(["10.1.1.1:5001"]));
    let secure: serde_json::Value = serde_json::from_str(&with("https://hub.example").text).unwrap();
    assert_eq!(secure.get("insecure-registries"), None);
}
