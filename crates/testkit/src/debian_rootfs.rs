//! A real Debian root file system as an image: debootstrap (minbase), then umoci, kept as an OCI layout.
//!
//! Must not know: registries. It is made once a machine, in `${XDG_CACHE_HOME:-$HOME/.cache}/transship/`, from the
//! mirror that apt is configured with. Invariant: a layout in its final place is complete; a lock file keeps two test
//! processes from making it twice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::program::{self, Finished};

/// The tag inside the layout.
pub const TAG: &str = "debian";

/// The folder of the layout; made now when it is not there (about a minute, needs root and the mirror).
pub fn layout() -> PathBuf {
    let folder = cache_folder();
    fs::create_dir_all(&folder).expect("the cache folder can be made");
    let lock = File::create(folder.join("debian-rootfs.lock")).expect("a lock file can be made");
    lock.lock().expect("a local file can be locked");
    let layout = folder.join(format!("debian-rootfs-{}", release()));
    if !layout.join("index.json").is_file() {
        let scratch = tempfile::tempdir_in(&folder).expect("a folder can be made");
        make(scratch.path());
        fs::rename(scratch.path().join("layout"), &layout).expect("a folder can be renamed beside itself");
    }
    layout
}

fn cache_folder() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    base.or_else(home).expect("HOME or XDG_CACHE_HOME is set").join("transship")
}

fn make(scratch: &Path) {
    let (root, layout, bundle) = (scratch.join("root"), scratch.join("layout"), scratch.join("bundle"));
    let mut debootstrap = program::command("debootstrap", scratch);
    debootstrap.args(["--variant=minbase", &release()]).arg(&root).arg(mirror(scratch));
    // The one place of the test kit that leaves the machine, so the one that may need its proxy.
    debootstrap.envs(std::env::vars_os().filter(|(name, _)| name == "http_proxy" || name == "https_proxy"));
    Finished::of(&mut debootstrap).expect_success();
    // Downloaded packages are of no use inside the image.
    let archives = root.join("var/cache/apt/archives");
    fs::remove_dir_all(&archives).expect("debootstrap leaves its downloads");
    fs::create_dir_all(archives.join("partial")).expect("a folder can be made");

    let image = format!("{}:{TAG}", layout.display());
    umoci(scratch, &["init", "--layout", &layout.display().to_string()]);
    umoci(scratch, &["new", "--image", &image]);
    umoci(scratch, &["unpack", "--image", &image, &bundle.display().to_string()]);
    fs::remove_dir(bundle.join("rootfs")).expect("an empty image unpacks to an empty folder");
    fs::rename(&root, bundle.join("rootfs")).expect("a folder can be renamed beside itself");
    umoci(scratch, &["repack", "--image", &image, &bundle.display().to_string()]);
    umoci(scratch, &["config", "--image", &image, "--config.cmd", "/bin/bash"]);
    umoci(scratch, &["gc", "--layout", &layout.display().to_string()]);
}

fn umoci(home: &Path, words: &[&str]) {
    Finished::of(program::command("umoci", home).args(words)).expect_success();
}

/// The code name of this machine's Debian.
fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").expect("Debian has /etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.expect("a Debian release has a code name").trim_matches('"').to_owned()
}

/// The mirror of apt's own sources that carries this release.
fn mirror(home: &Path) -> String {
    let mut query = program::command("apt-get", home);
    query.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]);
    let sources = Finished::of(&mut query).expect_success();
    let wanted = format!("{} main", release());
    let mirror = sources.lines().filter_map(|line| line.split_once(' ')).find(|(_, rest)| *rest == wanted);
    let (uri, _) = mirror.unwrap_or_else(|| panic!("apt's sources name no mirror for `{wanted}`:\n{sources}"));
    uri.to_owned()
}
