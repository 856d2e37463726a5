//! The built `transship` program on a loopback port with a cache folder of its own.
//!
//! Must not know: how it works inside; everything goes through arguments, environment, files and HTTP. Invariant:
//! port and cache folder stay the same over restarts, and the drop of the handle ends the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::{plain_http, port};

/// What the program is started with, besides `serve --listen <address> --cache-dir <folder>`.
#[derive(Clone, Debug, Default)]
pub struct TransshipSetup {
    /// Further arguments.
    pub args: Vec<String>,
    /// Environment, on top of `PATH` and a `HOME` of its own.
    pub env: Vec<(String, String)>,
    /// YAML written to a file and given as `--config`.
    pub config: Option<String>,
    /// A cache folder that outlives the process; by default a temporary one.
    pub cache_dir: Option<PathBuf>,
}

/// A started program; it may have been ended by a signal since.
#[derive(Debug)]
pub struct TransshipProcess {
    program: PathBuf,
    setup: TransshipSetup,
    folder: TempDir,
    port: u16,
    daemon: Option<Daemon>,
}

impl TransshipProcess {
    /// Starts `program` (tests pass `env!("CARGO_BIN_EXE_transship")`) and waits for `/readyz`.
    pub fn start(program: impl AsRef<Path>, setup: TransshipSetup) -> Self {
        let mut process = Self::prepare(program, setup);
        process.start_again();
        process
    }

    /// Starts the program and waits for nothing: for set-ups it should refuse.
    pub fn start_unready(program: impl AsRef<Path>, setup: TransshipSetup) -> Self {
        let mut process = Self::prepare(program, setup);
        process.daemon = Some(process.spawn());
        process
    }

    fn prepare(program: impl AsRef<Path>, setup: TransshipSetup) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        if let Some(config) = &setup.config {
            fs::write(folder.path().join("config.yaml"), config).expect("a file can be written");
        }
        Self { program: program.as_ref().to_owned(), setup, folder, port: port::free_port(), daemon: None }
    }

    fn spawn(&self) -> Daemon {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .envs(self.setup.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .args(["serve", "--listen", &self.host(), "--cache-dir"])
            .arg(self.cache_dir());
        if self.setup.config.is_some() {
            command.arg("--config").arg(self.config_file());
        }
        command.args(&self.setup.args);
        Daemon::spawn(command, &self.folder.path().join("log"))
    }

    /// `127.0.0.1:<port>`, the same after every start.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// The cache folder.
    pub fn cache_dir(&self) -> PathBuf {
        self.setup.cache_dir.clone().unwrap_or_else(|| self.folder.path().join("cache"))
    }

    /// The file given as `--config`; rewrite it to test reloading.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// Everything it wrote to its outputs, over all starts.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log can be read")
    }

    /// The admin token it made at its first start, without surrounding white space.
    pub fn admin_token(&self) -> String {
        let file = self.cache_dir().join("admin.token");
        let token = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        token.trim().to_owned()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS")
    }

    /// The most resident memory it ever had, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_bytes("VmHWM")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kibibytes =
            line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok());
        kibibytes.expect("the kernel tells it in kB") * 1024
    }

    /// SIGHUP: asks it to reload.
    pub fn reload(&self) {
        self.running().signal(Signal::HUP);
    }

    /// SIGTERM without waiting.
    pub fn send_terminate(&self) {
        self.running().signal(Signal::TERM);
    }

    /// Waits for its end; `None` when it is still running after `patience`.
    pub fn wait_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.daemon.as_mut().expect("it was started").wait_end(patience)
    }

    /// SIGTERM, then its exit status.
    pub fn terminate(&mut self) -> ExitStatus {
        self.daemon.take().expect("it was started").terminate()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.daemon.take().expect("it was started").kill();
    }

    /// Starts it with the same port, folder and set-up, and waits for `/readyz`; ends a running one first.
    pub fn start_again(&mut self) {
        self.daemon = None;
        let mut daemon = self.spawn();
        let host = self.host();
        daemon.wait_ready(|| plain_http::get(&host, "/readyz").is_some_and(|answer| answer.status == 200));
        self.daemon = Some(daemon);
    }

    fn running(&self) -> &Daemon {
        self.daemon.as_ref().expect("it was started and not ended")
    }
}
