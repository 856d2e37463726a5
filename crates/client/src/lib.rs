//! A client for OCI registries: manifests, blobs by range, tag lists, pushes; anonymous, Basic and Bearer.
//!
//! Used by the proxy and by the command line tools. It must not know our stores, our configuration file or our HTTP
//! server. Invariants: a credential leaves only for the upstream it was configured for and its token hosts; every
//! address dialled passed the egress filter; every exchange is reported to the observer exactly once.

#![expect(
    clippy::result_large_err,
    reason = "an error may name two digests; it is made once for a failed network call"
)]

mod answer;
mod basic;
mod bearer;
mod blob_parts;
mod blobs;
mod body;
mod catalog;
mod config;
mod connect_time;
mod credentials;
mod egress;
mod endpoint;
mod error;
mod exchange;
mod foreign;
mod form;
mod guest;
mod handshake;
mod heads;
mod json_object;
mod manifests;
mod payload;
mod ping;
pub mod probe;
pub mod profiles;
mod push;
mod realm;
mod redact;
mod redirect;
mod referrers;
mod registry_client;
mod secret;
mod tags;
mod token_cache;
mod trace_context;
mod transport;
mod upstream_error;
mod weather;

pub use basic::Credential;
pub use blob_parts::BlobParts;
pub use blobs::{BlobHead, BlobResponse};
pub use body::BlobBody;
pub use catalog::CatalogPage;
pub use config::{HttpVersion, Timeouts, UpstreamConfig};
pub use credentials::{
    AwsIdentity, AwsKeys, AzureIdentity, AzureLogin, ContainerAuthorization, ContainerRole, CredentialEntry,
    CredentialLabel, CredentialSource, CredentialStore, EcrLogin, ExecHelper, GoogleIdentity, GoogleLogin, WebIdentity,
};
pub use egress::{
    Authorities, ClientIdentity, Connections, IdentityProblem, Network, Proxies, ProxyServer, Reach, Verification,
    is_private_address, plain_url,
};
pub use error::{ClientError, SharedError, TimeoutPhase, UpstreamAnswer};
pub use exchange::{Exchange, ExchangeKind, ExchangeObserver, NoObserver};
pub use foreign::{ForeignClient, ForeignHosts, HostPattern};
pub use handshake::Login;
pub use heads::ExchangeHeads;
pub use manifests::{ManifestFetch, ManifestHead};
pub use push::{BlobPushed, BlobSource, BlobStream, SubjectListed, UploadError, UploadRule};
pub use referrers::{ReferrersApi, ReferrersFound, ReferrersList};
pub use registry_client::RegistryClient;
pub use secret::Secret;
pub use tags::TagPage;
pub use trace_context::{TraceContext, with_traceparent};
pub use weather::{
    AccountReport, Backoff, BreakerState, Climate, Hedging, HostLimits, HostReport, Limiter, OwnLimits, RateLimit,
    Weather, hedge,
};
