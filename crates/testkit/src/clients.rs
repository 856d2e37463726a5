//! Real clients, each in folders of its own: docker, containerd, podman, buildah, skopeo.
//!
//! Must not know: Transship. What a container runtime needs differs by machine; found to work as root in a virtual
//! machine without systemd (Debian 12, cgroup v1 and v2 mounted side by side, no raised resource limits allowed):
//!
//! - overlayfs can be mounted: dockerd runs `overlay2`, podman `overlay`, containerd `overlayfs`. Where a trial mount
//!   fails they get `vfs`, `vfs` and `native`.
//! - dockerd without bridge and firewall rules (`--bridge=none --iptables=false`); containers run with
//!   `--network none` (or `host`). Its mounts stay behind when it ends, so `Sandbox` unmounts them.
//! - podman with `runc` instead of `crun` (which refuses mixed cgroups), `--cgroup-manager cgroupfs`,
//!   `--events-backend file`, and ulimits that are not above the caller's; without them setrlimit is refused.
//! - containerd with CRI and the block-device snapshotters off; `ctr run` and `ctr run --net-host` both work.
//! - the `docker` of the package is taken before one in `/usr/local`; both talk to the daemon of the package.
//!
//! Invariant: nothing of the machine's own containers, images or configuration is touched.

mod buildah;
mod containerd;
mod docker;
mod podman;
mod sandbox;
mod skopeo;

pub use buildah::Buildah;
pub use containerd::Containerd;
pub use docker::Docker;
pub use podman::Podman;
pub use skopeo::Skopeo;
