//! What is printed at start: where it listens, where it caches, what to try first.
//!
//! Must not print secrets: the admin token is named by its path. Invariant: the commands work as printed.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::Size;

/// The facts of a start.
pub(crate) struct Banner<'a> {
    /// Where it listens.
    pub(crate) listen: &'a [SocketAddr],
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Where it caches.
    pub(crate) cache_dir: &'a Path,
    /// How much.
    pub(crate) budget: Size,
    /// Where the admin token is; none when it was given in the environment.
    pub(crate) admin_token: Option<&'a Path>,
    /// An image to try: `dockerhub/library/alpine`. None when there is no well-known repository.
    pub(crate) image: Option<&'a str>,
}

impl Banner<'_> {
    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("Transship {}\n", env!("CARGO_PKG_VERSION"));
        for address in self.listen {
            row(&mut text, "listens on", &format!("{}://{address}", self.scheme));
        }
        row(&mut text, "caches in", &format!("{} (at most {})", self.cache_dir.display(), self.budget));
        match self.admin_token {
            Some(path) => row(&mut text, "admin token in", &path.display().to_string()),
            None => row(&mut text, "admin token", "as given in TRANSSHIP_ADMIN_TOKEN"),
        }
        if let (Some(address), Some(image)) = (self.listen.first(), self.image) {
            self.commands(&mut text, reachable(*address), image);
        }
        text
    }

    /// Docker takes plain HTTP from loopback without being told; skopeo does not.
    fn commands(&self, text: &mut String, address: SocketAddr, image: &str) {
        let scheme = self.scheme;
        let insecure = if scheme == "http" { "--tls-verify=false " } else { "" };
        let lines = [
            format!("docker pull {address}/{image}"),
            format!("skopeo inspect {insecure}docker://{address}/{image}:latest"),
            format!("curl {scheme}://{address}/v2/{image}/tags/list"),
        ];
        text.push_str("\nTry:\n");
        for line in lines {
            writeln!(text, "  {line}").expect("writing to a string does not fail");
        }
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<15} {value}").expect("writing to a string does not fail");
}

/// An address of this machine that reaches a listener.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_address_folder_token_file_and_commands_that_reach_it() {
        let banner = Banner {
            listen: &["0.0.0.0:5000".parse().unwrap(), "[::1]:5000".parse().unwrap()],
            scheme: "http",
            cache_dir: Path::new("/c"),
            budget: Size(1 << 30),
            admin_token: Some(Path::new("/c/admin.token")),
            image: Some("dockerhub/library/alpine"),
        };
        assert_eq!(
            banner.text().lines().skip(1).collect::<Vec<_>>(),
            [
                "  listens on      http://0.0.0.0:5000",
                "  listens on      http://[::1]:5000",
                "  caches in       /c (at most 1GiB)",
                "  admin token in  /c/admin.token",
                "",
                "Try:",
                "  docker pull 127.0.0.1:5000/dockerhub/library/alpine",
                "  skopeo inspect --tls-verify=false docker://127.0.0.1:5000/dockerhub/library/alpine:latest",
                "  curl http://127.0.0.1:5000/v2/dockerhub/library/alpine/tags/list",
            ]
        );
    }
}
