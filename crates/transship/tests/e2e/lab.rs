//! The laboratory of most tests: the program in front of a scripted upstream, which is its repository `lab`.
//!
//! Must not know: what a test is about. Invariant: waiting is for a state, never for a time; a state that does not come
//! within a minute fails the test and shows the log.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use oci::Digest;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::upstream::FakeUpstream;

use crate::http::{self, Answer};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_transship");
/// The repository at the upstream that most tests use.
pub(crate) const NAME: &str = "team/app";
/// Longest wait: generous, for only a failing test reaches it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What differs from the usual.
#[derive(Clone, Debug)]
pub(crate) struct LabSetup {
    /// Fields added to the repository `lab`.
    pub(crate) repository: Value,
    /// Fields added to the configuration file.
    pub(crate) config: Value,
    /// Further arguments.
    pub(crate) args: Vec<String>,
    /// A cache folder of the test's own.
    pub(crate) cache_dir: Option<PathBuf>,
}

impl Default for LabSetup {
    fn default() -> Self {
        Self { repository: json!({}), config: json!({}), args: Vec::new(), cache_dir: None }
    }
}

/// A program and its upstream.
pub(crate) struct Lab {
    pub(crate) upstream: FakeUpstream,
    pub(crate) transship: TransshipProcess,
    pub(crate) client: Client,
}

impl Lab {
    /// The usual.
    pub(crate) fn start() -> Self {
        Self::with(LabSetup::default())
    }

    /// With these fields added to the repository `lab`.
    pub(crate) fn with_repository(repository: Value) -> Self {
        Self::with(LabSetup { repository, ..LabSetup::default() })
    }

    /// With what `setup` says.
    pub(crate) fn with(setup: LabSetup) -> Self {
        let upstream = FakeUpstream::start();
        let config = config(&upstream.url(), &setup);
        let (config, LabSetup { args, cache_dir, .. }) = (Some(config.to_string()), setup);
        let setup = TransshipSetup { config, args, cache_dir, ..TransshipSetup::default() };
        let transship = TransshipProcess::start(PROGRAM, setup);
        Self { upstream, transship, client: http::client() }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.transship.url())
    }

    /// The path of a blob of [`NAME`] in the repository `lab`.
    pub(crate) fn blob_path(digest: &Digest) -> String {
        format!("/v2/lab/{NAME}/blobs/{digest}")
    }

    /// The path of a manifest of [`NAME`] in the repository `lab`.
    pub(crate) fn manifest_path(reference: &str) -> String {
        format!("/v2/lab/{NAME}/manifests/{reference}")
    }

    /// GETs a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// GETs a path with headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        http::send(&self.client, "GET", &self.url(path), headers, Vec::new()).await
    }

    /// Asks for a path; the body of the answer is still to come.
    pub(crate) async fn open(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// A management call with the admin token.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        manage(&self.client, &self.transship, method, path, body).await
    }

    /// Where a blob lies when it is complete.
    pub(crate) fn stored_file(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.transship.cache_dir().join("blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(hex)
    }

    /// Names of the files in staging.
    pub(crate) fn staged(&self) -> Vec<String> {
        let files = fs::read_dir(self.transship.cache_dir().join("staging")).unwrap();
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Waits until the blob is complete and nothing is left in staging, and checks what is on the disk.
    pub(crate) async fn wait_stored(&self, digest: &Digest) {
        let file = self.stored_file(digest);
        self.eventually("the blob is stored and staging is empty", || file.exists() && self.staged().is_empty()).await;
        assert_eq!(Digest::sha256_of(&fs::read(file).unwrap()), *digest, "what is stored is what it says it is");
    }

    /// Waits for a state; shows the log when it does not come.
    pub(crate) async fn eventually(&self, what: &str, done: impl FnMut() -> bool) {
        let came = comes_true(done).await;
        assert!(came, "not within {PATIENCE:?}: {what}\n{}", self.transship.log_text());
    }

    /// The log so far, line by line; lines that are not JSON (the banner) left out.
    pub(crate) fn log(&self) -> Vec<Value> {
        log_of(&self.transship)
    }

    /// The lines of requests.
    pub(crate) fn request_lines(&self) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == "request").collect()
    }

    /// Waits for the line of the request that had this `X-Request-Id`.
    pub(crate) async fn request_line(&self, request_id: &str) -> Value {
        let find = || self.request_lines().into_iter().find(|line| line["request_id"] == request_id);
        self.eventually(&format!("the request {request_id} is logged"), || find().is_some()).await;
        find().unwrap()
    }

    /// The value of a metric with its labels as they are written.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        metric_in(&self.get("/metrics").await.text(), series)
    }

    /// Waits until a metric has this value.
    pub(crate) async fn wait_metric(&self, series: &str, wanted: f64) {
        let started = Instant::now();
        loop {
            let value = self.metric(series).await;
            if value == Some(wanted) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{series} is {value:?}, not {wanted}\n{}", self.transship.log_text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The configuration file of a laboratory (JSON is YAML).
pub(crate) fn config(upstream: &str, setup: &LabSetup) -> Value {
    let mut lab = json!({ "kind": "proxy", "upstream": upstream, "internal": true });
    lab.as_object_mut().unwrap().extend(setup.repository.as_object().unwrap().clone());
    let mut config = json!({ "repos": { "lab": lab } });
    config.as_object_mut().unwrap().extend(setup.config.as_object().unwrap().clone());
    config
}

/// A management call with the admin token.
pub(crate) async fn manage(
    client: &Client,
    transship: &TransshipProcess,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let authorization = format!("Bearer {}", transship.admin_token());
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    http::send(client, method, &format!("{}{path}", transship.url()), &headers, body).await
}

/// The log of a program, line by line; lines that are not JSON left out.
pub(crate) fn log_of(transship: &TransshipProcess) -> Vec<Value> {
    transship.log_text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether a state comes within a minute.
pub(crate) async fn comes_true(mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// The value of a series in the text of `/metrics`.
pub(crate) fn metric_in(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}
