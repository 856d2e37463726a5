//! A real nginx on a loopback port in front of a registry: as a plain reverse proxy, or with `proxy_cache`.
//!
//! Must not know: what it stands in front of. Invariants: it runs as one process in a folder of its own, and ends with
//! its handle; it changes no answer on purpose.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::{plain_http, port, program};

/// Whether nginx keeps answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It passes everything on.
    Nothing,
    /// `proxy_cache`, whole answers (no `slice`), as long as the answers themselves say, else a minute.
    Answers,
}

/// A running nginx.
#[derive(Debug)]
pub struct NginxPeer {
    folder: TempDir,
    port: u16,
    _daemon: Daemon,
}

impl NginxPeer {
    /// Starts one before `origin` (`http://127.0.0.1:<port>`) and waits until it answers.
    pub fn before(origin: &str, keeping: Keeping) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = port::free_port();
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(folder.path(), port, origin, keeping)).expect("a file can be written");
        let mut command = program::command("nginx", folder.path());
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).arg("-e").arg(folder.path().join("log"));
        let mut daemon = Daemon::spawn(command, &folder.path().join("log"));
        let host = format!("127.0.0.1:{port}");
        daemon.wait_ready(|| plain_http::get(&host, "/v2/").is_some());
        Self { folder, port, _daemon: daemon }
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// One line a request: method, target, status, and what the cache made of it (`-` without one).
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access.log")).expect("the log can be read")
    }
}

fn configuration(folder: &Path, port: u16, origin: &str, keeping: Keeping) -> String {
    let here = folder.display();
    let cache = match keeping {
        Keeping::Nothing => "proxy_buffering off;",
        Keeping::Answers => {
            "proxy_cache kept; proxy_cache_valid 200 1m; proxy_cache_lock on; \
             add_header X-Cache-Status $upstream_cache_status always;"
        }
    };
    // One process, which ends with its handle; as root nginx would give workers to another user, who owns nothing here.
    format!(
        "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/log warn;\nevents {{}}\n\
         http {{\n\
         log_format brief '$request_method $request_uri $status $upstream_cache_status';\n\
         access_log {here}/access.log brief;\n\
         client_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\nfastcgi_temp_path {here}/fastcgi;\n\
         uwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\n\
         proxy_cache_path {here}/kept keys_zone=kept:1m max_size=1g use_temp_path=off;\n\
         server {{\nlisten 127.0.0.1:{port};\nclient_max_body_size 0;\n\
         location / {{\nproxy_pass {origin};\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
         proxy_set_header Connection '';\n{cache}\n}}\n}}\n}}\n"
    )
}
