//! skopeo: copies images between registries and OCI layouts without running anything.
//!
//! Must not know: Transship. Invariant: reads no configuration of the machine.

use std::path::Path;

use super::sandbox::Sandbox;
use crate::program::{self, Finished};

/// skopeo with a folder for its own files.
#[derive(Debug)]
pub struct Skopeo {
    sandbox: Sandbox,
}

impl Default for Skopeo {
    fn default() -> Self {
        Self::new()
    }
}

impl Skopeo {
    /// Accepts any signature, knows no mirrors.
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.file("policy.json", r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#);
        sandbox.file("registries.conf", "");
        Self { sandbox }
    }

    /// Runs `skopeo <words>`.
    pub fn command(&self, words: &[&str]) -> Finished {
        let mut command = program::command("skopeo", self.sandbox.path());
        command
            .arg("--policy")
            .arg(self.sandbox.join("policy.json"))
            .arg("--registries-conf")
            .arg(self.sandbox.join("registries.conf"));
        Finished::of(command.args(words))
    }

    /// Copies all platforms of `docker://<image>` into an OCI layout, digests unchanged.
    pub fn pull(&self, image: &str, layout: &Path) -> Finished {
        let (source, target) = (format!("docker://{image}"), format!("oci:{}:pulled", layout.display()));
        self.command(&["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &target])
    }

    /// Copies an image of an OCI layout to a plain HTTP registry, digests unchanged.
    pub fn push(&self, layout: &Path, tag: &str, image: &str, credentials: Option<&str>) -> Finished {
        let (source, target) = (format!("oci:{}:{tag}", layout.display()), format!("docker://{image}"));
        let mut words = vec!["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"];
        if let Some(credentials) = credentials {
            words.extend(["--dest-creds", credentials]);
        }
        words.extend([source.as_str(), target.as_str()]);
        self.command(&words)
    }

    /// The exact manifest bytes behind a reference, as text.
    pub fn raw_manifest(&self, image: &str) -> Finished {
        self.command(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{image}")])
    }
}
