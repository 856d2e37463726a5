//! `registries.conf` (containers-registries.conf(5)): podman, CRI-O, buildah, skopeo.
//!
//! These rewrite the name and send no `?ns=`, so the registry stands as the first segment behind the server. Must not
//! know other clients. Invariant: without a fallback the registry's own location is the server.

use super::{ContainerClient, Fallback, Setup, SetupFile, Wanted};

pub(super) fn registries_conf(client: ContainerClient, wanted: &Wanted) -> Setup {
    let mut text = String::new();
    for registry in &wanted.registries {
        text.push_str(&entry(wanted, registry));
    }
    let mut files = vec![SetupFile { path: "/etc/containers/registries.conf.d/50-transship.conf".into(), text }];
    let mut notes = Vec::new();
    if let Some(ca) = &wanted.ca {
        notes.push(format!("Put {} at /etc/containers/certs.d/{}/ca.crt.", ca.display(), wanted.authority()));
    }
    match client {
        ContainerClient::CriO => notes.push("Then: systemctl reload crio".into()),
        ContainerClient::Skopeo | ContainerClient::Podman | ContainerClient::Buildah => {
            notes.push(
                "It is read at once. For one user alone: ~/.config/containers/registries.conf.d/50-transship.conf"
                    .into(),
            );
        }
        ContainerClient::Docker
        | ContainerClient::Containerd
        | ContainerClient::Nerdctl
        | ContainerClient::K3s
        | ContainerClient::Rke2
        | ContainerClient::Talos
        | ContainerClient::Kind
        | ContainerClient::Buildkit => files.clear(),
    }
    Setup { files, notes }
}

fn entry(wanted: &Wanted, registry: &str) -> String {
    let mirror = format!("{}/{registry}", wanted.authority());
    let insecure = if wanted.is_plain() { "insecure = true\n" } else { "" };
    match wanted.fallback {
        Fallback::Registry => format!(
            "[[registry]]\nprefix = \"{registry}\"\nlocation = \"{registry}\"\n\n[[registry.mirror]]\nlocation = \"{mirror}\"\n{insecure}\n"
        ),
        Fallback::None => format!("[[registry]]\nprefix = \"{registry}\"\nlocation = \"{mirror}\"\n{insecure}\n"),
    }
}
