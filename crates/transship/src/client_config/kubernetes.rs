//! Kubernetes distributions that write containerd's files themselves: k3s, RKE2, Talos, kind.
//!
//! Must not know other clients. Invariant: endpoints are addresses without a path, because containerd adds `?ns=`.

use std::fmt::Write as _;

use super::hosts_toml;
use super::{Fallback, Setup, SetupFile, Wanted};

/// `registries.yaml` of k3s and RKE2.
pub(super) fn registries_yaml(wanted: &Wanted, service: &str, path: &str) -> Setup {
    let mut text = "mirrors:\n".to_owned();
    for registry in &wanted.registries {
        let _ = write!(text, "  {registry}:\n    endpoint:\n      - \"{}\"\n", wanted.address());
    }
    if let Some(ca) = &wanted.ca {
        let (authority, ca) = (wanted.authority(), ca.display());
        let _ = write!(text, "configs:\n  \"{authority}\":\n    tls:\n      ca_file: \"{ca}\"\n");
    }
    let mut notes = vec![format!("On every node; then: systemctl restart {service} (agents too).")];
    if wanted.fallback == Fallback::None {
        notes.push(
            "To keep nodes from going past it, start the server with --disable-default-registry-endpoint.".into(),
        );
    }
    Setup { files: vec![SetupFile { path: path.into(), text }], notes }
}

/// A machine configuration patch for Talos.
pub(super) fn talos(wanted: &Wanted) -> Setup {
    let skip = wanted.fallback == Fallback::None;
    let mut text = "machine:\n  registries:\n    mirrors:\n".to_owned();
    for registry in &wanted.registries {
        let _ = write!(text, "      {registry}:\n        endpoints:\n          - {}\n", wanted.address());
        if skip {
            text.push_str("        skipFallback: true\n");
        }
    }
    let mut notes = vec!["talosctl patch machineconfig --nodes <node> --patch @transship-patch.yaml".to_owned()];
    if let Some(ca) = &wanted.ca {
        let authority = wanted.authority();
        notes.push(format!(
            "Add the authority in {} as base64 under machine.registries.config.\"{authority}\".tls.ca.",
            ca.display()
        ));
    }
    Setup { files: vec![SetupFile { path: "transship-patch.yaml".into(), text }], notes }
}

/// A cluster configuration for kind, and containerd's files for its nodes.
pub(super) fn kind(wanted: &Wanted) -> Setup {
    let cluster = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\ncontainerdConfigPatches:\n  - |-\n    \
                   [plugins.\"io.containerd.grpc.v1.cri\".registry]\n      config_path = \"/etc/containerd/certs.d\"\n\
                   nodes:\n  - role: control-plane\n    extraMounts:\n      - hostPath: ./certs.d\n        \
                   containerPath: /etc/containerd/certs.d\n";
    let mut files = vec![SetupFile { path: "kind.yaml".into(), text: cluster.into() }];
    files.extend(
        hosts_toml::containerd(wanted).files.into_iter().map(|file| SetupFile {
            path: file.path.trim_start_matches("/etc/containerd/").to_owned(),
            text: file.text,
        }),
    );
    let notes = vec![
        "kind create cluster --config kind.yaml".to_owned(),
        format!("{} must be an address that the nodes reach: 127.0.0.1 is the node itself.", wanted.address()),
    ];
    Setup { files, notes }
}
