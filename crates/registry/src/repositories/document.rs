//! A repository as written: the JSON object of `/api/repos`, of the configuration's `repos:` entries and of the
//! metadata database are one shape, read here.
//!
//! One file for each group of fields. Must know of the object's origin only whether an operator wrote it into a file.
//! Invariant: all problems are reported at once, each with its field.

pub(super) mod auth;
mod cloud;
mod fields;
mod foreign;
mod group;
mod hosted;
mod limits;
mod network;
mod over_time;
mod passthrough;
mod reader;
mod upstreams;

use std::net::SocketAddr;
use std::time::Duration;

use oci::{RegistryHost, RepoKey};
use serde_json::Value;

pub use self::fields::{FIELDS, FieldDoc};
pub(crate) use self::group::{is_group, read_group};
pub(crate) use self::hosted::{is_hosted, read_hosted};
pub use self::limits::read_own_limits;
use self::reader::Reader;
use super::pattern::TagPattern;
use super::spec::{FillOnRange, HealthCheck, ReferrersSource, RepositorySpec, Strategy};

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path of the field inside the document: `auth.password`, `hosts[1]`; empty for the document itself.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
}

/// Who wrote a document: local files and programs are named by the operator's file alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The configuration file, or the program itself.
    File,
    /// The API; also when it is read again from the metadata database.
    Api,
}

impl Reader<'_> {
    fn kind(&mut self) {
        match self.text("kind").as_deref() {
            None | Some("proxy") => {}
            // Whoever may meet a hosted one reads a `ConfiguredRepository`.
            Some("hosted") => self.problem("kind", "this must be a repository of kind proxy"),
            Some("group") => self.problem("kind", "this must be a repository of kind proxy, not a group"),
            Some(other) => {
                self.problem("kind", format!("'{other}' is not a kind of repository; use proxy, hosted or group"));
            }
        }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is not an address; write 127.0.0.1:5001 or [::1]:5001"))
}

impl RepositorySpec {
    /// Reads and checks a repository document.
    ///
    /// # Errors
    /// Every problem found, each with the path of its field.
    pub fn from_document(key: RepoKey, document: &Value, provenance: Provenance) -> Result<Self, Vec<FieldProblem>> {
        let Some(object) = document.as_object() else {
            return Err(vec![FieldProblem { path: String::new(), message: "a repository must be an object".into() }]);
        };
        let mut read = Reader::new(object, provenance);
        read.unknown_fields("");
        read.kind();
        read.refuse_hosted_fields();
        read.refuse_group_fields();
        let mut upstreams = read.upstreams().into_iter();
        let upstream = upstreams.next();
        let mirrors: Vec<_> = upstreams.collect();
        let passthrough = read.passthrough(upstream.as_ref(), mirrors.len());
        // Read before anything is decided, so that a bad upstream does not hide what else is wrong.
        let tag_ttl = read.duration("tag_ttl", Duration::from_mins(5));
        let stale_while_revalidate = read.duration("stale_while_revalidate", Duration::ZERO);
        let stale_if_error = read.duration("stale_if_error", Duration::from_hours(30 * 24));
        let stale_if_denied = read.duration("stale_if_denied", Duration::from_hours(24));
        let hosts = read.list("hosts", |t| t.parse::<RegistryHost>().map_err(|e| e.to_string()));
        let listen = read.list("listen", parse_listen);
        let immutable_tags = read.list("immutable_tags", TagPattern::parse);
        let fill_on_range = read.parsed("fill_on_range", FillOnRange::parse).unwrap_or_default();
        let strategy = read.parsed("strategy", Strategy::parse).unwrap_or_default();
        let health_check = read.parsed("health_check", HealthCheck::parse);
        let limits = read.limits();
        let referrers = read.parsed("referrers", ReferrersSource::parse).unwrap_or_default();
        let foreign_layers = read.foreign_layers();
        let document = document.clone();
        match upstream {
            Some(upstream) if !read.has_problems() => Ok(Self {
                key,
                upstream,
                health_check: health_check.unwrap_or_else(|| HealthCheck::for_mirrors(mirrors.len())),
                mirrors,
                strategy,
                passthrough,
                tag_ttl,
                stale_while_revalidate,
                stale_if_error,
                stale_if_denied,
                hosts,
                listen,
                immutable_tags,
                fill_on_range,
                limits,
                referrers,
                foreign_layers,
                document,
            }),
            _ => Err(read.into_problems()),
        }
    }
}
