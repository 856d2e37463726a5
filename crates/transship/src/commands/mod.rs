//! The subcommands, one file each.

pub(crate) mod client_config;
pub(crate) mod config;
pub(crate) mod mock_upstream;
pub(crate) mod secrets;
pub(crate) mod serve;
