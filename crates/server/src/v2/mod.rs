//! The distribution API: one file an endpoint, each extracting, asking the registry once and answering.
//!
//! Must not know where anything is stored. Invariant: a handler decides nothing about a pull; it turns the registry's
//! answer into a head and a body.

pub(crate) mod at_hand;
pub(crate) mod base;
pub(crate) mod blobs;
pub(crate) mod catalog;
pub(crate) mod conditional;
pub(crate) mod gate;
pub(crate) mod headers;
mod json_list;
pub(crate) mod manifests;
pub(crate) mod page_link;
pub(crate) mod push;
pub(crate) mod referrers;
pub(crate) mod tags;
pub(crate) mod unsupported;

use std::net::IpAddr;

use http::{HeaderMap, Method};
use registry::{Registry, TraceParent};

use crate::file_queue::FileQueue;
use crate::query::V2Query;
use crate::state::App;

/// The methods of pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Head,
}

impl Verb {
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET => Some(Self::Get),
            Method::HEAD => Some(Self::Head),
            _ => None,
        }
    }
}

/// A pull request with its parts checked.
pub(crate) struct V2Request<'a> {
    pub(crate) app: &'a App,
    pub(crate) registry: &'a Registry,
    pub(crate) verb: Verb,
    /// The whole path as it came, for links back to us.
    pub(crate) raw_path: &'a str,
    pub(crate) query: V2Query,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: Option<&'a str>,
    pub(crate) local_port: u16,
    /// The address the request came from.
    pub(crate) peer: IpAddr,
    pub(crate) trace: TraceParent,
    /// Where the body may put pieces of files.
    pub(crate) files: Option<FileQueue>,
}
