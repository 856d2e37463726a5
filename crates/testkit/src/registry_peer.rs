//! A real Debian `docker-registry` (distribution 2.8) on a loopback port with a storage folder of its own.
//!
//! Must not know: the code under test. Invariant: after `stop` nobody listens on its port; the storage stays until
//! the handle is dropped.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::image::{Blob, Image, Manifest};
use crate::upstream::Account;
use crate::{plain_http, port, program};

/// What the registry is started with.
#[derive(Clone, Debug, Default)]
pub struct RegistrySetup {
    /// Basic authentication with this account.
    pub account: Option<Account>,
    /// Pull-through proxy of this URL instead of a registry of its own.
    pub proxy_of: Option<String>,
}

/// A running (or stopped) registry.
#[derive(Debug)]
pub struct RegistryPeer {
    folder: TempDir,
    port: u16,
    account: Option<Account>,
    daemon: Option<Daemon>,
}

impl RegistryPeer {
    /// A plain registry, ready to be pushed to.
    pub fn start_plain() -> Self {
        Self::start_with(&RegistrySetup::default())
    }

    /// A registry with authentication or in proxy mode.
    pub fn start_with(setup: &RegistrySetup) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = port::free_port();
        fs::write(folder.path().join("config.yml"), configuration(setup, &folder, port))
            .expect("a file can be written");
        let mut peer = Self { folder, port, account: setup.account.clone(), daemon: None };
        peer.start();
        peer
    }

    /// `127.0.0.1:<port>`, the same after every start.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Where it keeps its blobs.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Everything it logged; its access log has one line a request.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log can be read")
    }

    /// Ends it; does nothing when it is stopped already.
    pub fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.terminate();
        }
    }

    /// Starts it (again) and waits until it answers.
    pub fn start(&mut self) {
        self.stop();
        let mut command = program::command("docker-registry", self.folder.path());
        command.arg("serve").arg(self.folder.path().join("config.yml"));
        let mut daemon = Daemon::spawn(command, &self.folder.path().join("log"));
        let host = self.host();
        daemon.wait_ready(|| plain_http::get(&host, "/v2/").is_some_and(|answer| matches!(answer.status, 200 | 401)));
        self.daemon = Some(daemon);
    }
}

impl RegistryPeer {
    /// Pushes an image with everything it refers to; returns `<host>/<repository>:<tag>`.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        self.push_content(repository, image);
        self.put_manifest(repository, tag, &image.manifest);
        format!("{}/{repository}:{tag}", self.host())
    }

    fn push_content(&self, repository: &str, image: &Image) {
        image.blobs.iter().for_each(|blob| self.put_blob(repository, blob));
        for child in &image.children {
            self.push_content(repository, child);
            self.put_manifest(repository, &child.manifest.digest.to_string(), &child.manifest);
        }
    }

    fn put_blob(&self, repository: &str, blob: &Blob) {
        let started = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "text/plain", &[]);
        let location = started.header("location").expect("an upload has a location");
        let target = location.strip_prefix(&self.url()).unwrap_or(location);
        self.send("PUT", &format!("{target}&digest={}", blob.digest), "application/octet-stream", &blob.bytes);
    }

    fn put_manifest(&self, repository: &str, reference: &str, manifest: &Manifest) {
        self.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), &manifest.media_type, &manifest.bytes);
    }

    /// One step of a push; anything but success is a panic.
    fn send(&self, method: &str, target: &str, content_type: &str, body: &[u8]) -> plain_http::Answer {
        let credential = self.account.as_ref().map(Account::basic);
        let mut headers = vec![("Content-Type", content_type)];
        headers.extend(credential.as_deref().map(|value| ("Authorization", value)));
        let answer = plain_http::send(&self.host(), method, target, &headers, body).expect("the registry answers");
        assert!((200..300).contains(&answer.status), "{method} {target}: {}{}", answer.head, answer.text());
        answer
    }
}

fn configuration(setup: &RegistrySetup, folder: &TempDir, port: u16) -> String {
    let storage = folder.path().join("storage");
    let mut lines = vec![
        "version: 0.1".to_owned(),
        "log: { level: info, accesslog: { disabled: false } }".to_owned(),
        format!("storage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}", storage.display()),
        format!("http: {{ addr: '127.0.0.1:{port}' }}"),
    ];
    if let Some(account) = &setup.account {
        let mut htpasswd = program::command("htpasswd", folder.path());
        htpasswd.args(["-Bbn", &account.username, &account.password]);
        let file = folder.path().join("htpasswd");
        fs::write(&file, program::Finished::of(&mut htpasswd).expect_success()).expect("a file can be written");
        lines.push(format!("auth: {{ htpasswd: {{ realm: peer, path: {} }} }}", file.display()));
    }
    if let Some(url) = &setup.proxy_of {
        lines.push(format!("proxy: {{ remoteurl: '{url}' }}"));
    }
    lines.join("\n") + "\n"
}
