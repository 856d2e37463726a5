//! The files that make a container client pull through Transship.
//!
//! Must not know a running server: it is told where one is. Invariant: what is printed is what the documentation of the
//! client names, and tests pull with it through real clients where those run.

mod buildkit;
mod containers;
mod hosts_toml;
mod kubernetes;

use std::fmt::Write as _;
use std::path::PathBuf;

use url::Url;

/// Registries that are mirrored unless others are named: as they stand in image names.
pub(crate) const WELL_KNOWN: [&str; 8] = [
    "docker.io",
    "ghcr.io",
    "quay.io",
    "registry.k8s.io",
    "gcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "registry.gitlab.com",
];

/// A client that can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ContainerClient {
    /// Docker Engine.
    Docker,
    /// containerd, also below Kubernetes.
    Containerd,
    /// nerdctl; reads what containerd reads.
    Nerdctl,
    /// podman.
    Podman,
    /// CRI-O.
    CriO,
    /// buildah.
    Buildah,
    /// skopeo.
    Skopeo,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Talos Linux.
    Talos,
    /// kind: Kubernetes in Docker.
    Kind,
    /// BuildKit and docker buildx.
    Buildkit,
}

/// Where the server is and what goes through it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The server's address: scheme, host and port.
    pub(crate) server: Url,
    /// The listener that serves Docker Hub alone, if there is one.
    pub(crate) hub_mirror: Option<Url>,
    /// Registries, as they stand in image names.
    pub(crate) registries: Vec<String>,
    /// Whether the client may go to the registry itself when the server does not answer.
    pub(crate) fallback: Fallback,
    /// The authority that signed the server's certificate, PEM, as the client's machine names it.
    pub(crate) ca: Option<PathBuf>,
}

/// What a client does when the server does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Goes to the registry itself.
    Registry,
    /// Fails.
    None,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetupFile {
    /// Where it belongs.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Files, and what to do besides writing them.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The files.
    pub(crate) files: Vec<SetupFile>,
    /// Sentences for the person who writes them.
    pub(crate) notes: Vec<String>,
}

impl Wanted {
    /// `host:port`, as it stands in image names.
    pub(crate) fn authority(&self) -> String {
        let host = self.server.host_str().unwrap_or_default();
        self.server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The address without a trailing slash.
    pub(crate) fn address(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    /// Whether connections are in the clear.
    pub(crate) fn is_plain(&self) -> bool {
        self.server.scheme() == "http"
    }

    /// The address of a registry itself, for clients that want to be told.
    pub(crate) fn origin(registry: &str) -> String {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        format!("https://{host}")
    }
}

/// The files for `client`.
pub(crate) fn setup(client: ContainerClient, wanted: &Wanted) -> Setup {
    match client {
        ContainerClient::Docker => hosts_toml::docker(wanted),
        ContainerClient::Containerd | ContainerClient::Nerdctl => hosts_toml::containerd(wanted),
        ContainerClient::Podman | ContainerClient::CriO | ContainerClient::Buildah | ContainerClient::Skopeo => {
            containers::registries_conf(client, wanted)
        }
        ContainerClient::K3s => kubernetes::registries_yaml(wanted, "k3s", "/etc/rancher/k3s/registries.yaml"),
        ContainerClient::Rke2 => {
            kubernetes::registries_yaml(wanted, "rke2-server", "/etc/rancher/rke2/registries.yaml")
        }
        ContainerClient::Talos => kubernetes::talos(wanted),
        ContainerClient::Kind => kubernetes::kind(wanted),
        ContainerClient::Buildkit => buildkit::buildkitd(wanted),
    }
}

impl Setup {
    /// For people: each file below its path, then the notes, as comments so that a copy of all of it does no harm.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let _ = write!(text, "# --- {}\n{}\n", file.path, file.text);
        }
        for note in &self.notes {
            let _ = writeln!(text, "# {note}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
