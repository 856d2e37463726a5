//! `hosts.toml`: containerd, nerdctl, and Docker with its containerd image store.
//!
//! containerd adds `?ns=<registry>` itself, so one address serves all registries. Must not know other clients. Invariant:
//! without a fallback `server` is the mirror, because containerd otherwise goes to the registry after every error.

use super::{Fallback, Setup, SetupFile, Wanted};

/// containerd reads a folder for each registry.
pub(super) fn containerd(wanted: &Wanted) -> Setup {
    Setup {
        files: files(wanted, "/etc/containerd/certs.d"),
        notes: vec![
            "containerd reads these without a restart, once config.toml has:".into(),
            "  version 3 (containerd 2): [plugins.'io.containerd.cri.v1.images'.registry] config_path = '/etc/containerd/certs.d'".into(),
            "  version 2 (containerd 1): [plugins.\"io.containerd.grpc.v1.cri\".registry] config_path = \"/etc/containerd/certs.d\"".into(),
            "ctr does not read config.toml: ctr images pull --hosts-dir /etc/containerd/certs.d docker.io/library/alpine:latest".into(),
        ],
    }
}

/// The same files for Docker's containerd image store; `registry-mirrors` for its older one.
pub(super) fn docker(wanted: &Wanted) -> Setup {
    let mut files = files(wanted, "/etc/docker/certs.d");
    let mut notes = vec![
        "certs.d is read by Docker with the containerd image store (docker info says `driver-type: io.containerd.snapshotter.v1`)."
            .to_owned(),
    ];
    if let Some(mirror) = &wanted.hub_mirror {
        files.push(SetupFile { path: "/etc/docker/daemon.json".into(), text: daemon_json(mirror) });
        notes.push("daemon.json is for the older image store: Docker Hub only; restart Docker.".into());
    } else {
        notes.push(
            "The older image store mirrors Docker Hub only, and needs an address that serves nothing else: give".into(),
        );
        notes.push("the repository dockerhub a `listen` address and say it here with --hub-mirror URL.".into());
    }
    notes.push(format!("Without any of this: docker pull {}/docker.io/library/alpine", wanted.authority()));
    Setup { files, notes }
}

fn files(wanted: &Wanted, folder: &str) -> Vec<SetupFile> {
    let file = |registry: &String| SetupFile {
        path: format!("{folder}/{registry}/hosts.toml"),
        text: hosts(wanted, registry),
    };
    wanted.registries.iter().map(file).collect()
}

fn hosts(wanted: &Wanted, registry: &str) -> String {
    let server = match wanted.fallback {
        Fallback::Registry => Wanted::origin(registry),
        Fallback::None => wanted.address().to_owned(),
    };
    let ca = wanted.ca.as_ref().map(|ca| format!("  ca = \"{}\"\n", ca.display())).unwrap_or_default();
    format!("server = \"{server}\"\n\n[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n{ca}", wanted.address())
}

fn daemon_json(mirror: &url::Url) -> String {
    let address = mirror.as_str().trim_end_matches('/');
    let mut document = serde_json::json!({ "registry-mirrors": [address] });
    if mirror.scheme() == "http" && !is_loopback(mirror) {
        let host = mirror.host_str().unwrap_or_default();
        let port = mirror.port().unwrap_or(80);
        document["insecure-registries"] = serde_json::json!([format!("{host}:{port}")]);
    }
    format!("{document:#}\n")
}

/// Docker takes plain HTTP from 127.0.0.0/8 without being told.
fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
