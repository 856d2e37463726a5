//! The fake upstream on the wire: what a correct registry answers, and that each fault does what it says.

mod access;
mod bodies;
mod headers;
mod honest;
mod ranges;
mod raw_client;
mod timing;
mod tls;
