//! Finding the programs of the machine, and running them to their end.
//!
//! Must not know: what they do. Invariant: a program that is missing is a panic that names the Debian package to
//! install; nothing is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Program, Debian 12 package. `ci/install-peers.sh` installs the same packages.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("bash", "bash"),
    ("buildah", "buildah"),
    ("cc", "gcc libc6-dev"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("ctr-remote", "stargz-snapshotter"),
    ("debootstrap", "debootstrap"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("dockerd", "docker.io"),
    ("fish", "fish"),
    ("htpasswd", "apache2-utils"),
    ("mknod", "coreutils"),
    ("mount", "mount"),
    ("nginx", "nginx-light"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("skopeo", "skopeo"),
    ("tar", "tar"),
    ("tmux", "tmux"),
    ("umoci", "umoci"),
    ("umount", "mount"),
    ("zsh", "zsh"),
];

/// Where packages put programs; an installation of somebody's own in `/usr/local` comes after them, for its version
/// need not fit the daemon of the package.
const FOLDERS: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The full path of a program.
pub fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is missing. {}", how_to_install(name)))
}

fn how_to_install(name: &str) -> String {
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
    format!(
        "Install it with `apt-get install --no-install-recommends {package}`, or run `ci/install-peers.sh` as root."
    )
}

/// A command that sees nothing of the user's own configuration: no proxies, no credentials, its own home.
pub fn command(name: &str, home: &Path) -> Command {
    let mut command = Command::new(find(name));
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// What a program left when it ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        Self {
            line,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether it ended with 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Standard output of a success; panics with both outputs otherwise.
    #[track_caller]
    pub fn expect_success(self) -> String {
        let Self { line, status, stdout, stderr } = self;
        assert!(status.success(), "{line} ended with {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        stdout
    }

    /// Standard error of a failure; panics when it succeeded.
    #[track_caller]
    pub fn expect_failure(self) -> String {
        assert!(!self.status.success(), "{} succeeded, but must not\n--- stdout\n{}", self.line, self.stdout);
        self.stderr
    }
}
