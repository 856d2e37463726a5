//! What a registry does: pull through, fill, resolve tags, keep to a budget.
//!
//! This crate must not know HTTP servers, status codes or command lines. Its promises, each with a test:
//!
//! * Nothing unverified is ever published to the store, and no complete body of wrong bytes is ever delivered.
//! * A fill belongs to a task, never to a request: a client that leaves changes nothing.
//! * Upstream sees each byte of a blob once, however many clients ask for it.
//! * A digest, and a tag inside its time to live, is answered without SQL and without upstream.
//! * The cache answers when upstream cannot; starting needs no network.
//! * A push that was acknowledged is on disk, and is never evicted.

mod access;
mod cache;
mod core;
mod counters;
mod error;
mod exchange_log;
mod explain;
mod fill;
mod groups;
mod hosted;
mod metrics;
mod observe;
mod outcome;
mod pull;
mod registry;
mod repositories;
mod retention;
mod sources;
mod tags_over_time;
mod trace;
mod weather;

pub use crate::core::Builtins;
pub use access::{Action, CallerCredential, EntranceAsks, EntranceLogin, PassthroughRules, Principal};
pub use blob_store::FilePiece;
pub use client::CredentialLabel;
pub use client::probe::{ImageRef, InvalidImageRef, Report};
pub use client::{Backoff, Credential, Hedging, Reach, Timeouts};
pub use counters::Counters;
pub use error::{PullError, UpstreamSaid};
pub use exchange_log::LoggedExchange;
pub use explain::{
    CachedPart, ExplainedCredential, ExplainedGroup, ExplainedMember, ExplainedRateLimit, ExplainedRoute,
    ExplainedStep, ExplainedTag, ExplainedUpstream, Explanation, ImageAddress, InvalidImageAddress, OfflineAnswer,
    PartKind, Presence,
};
pub use fill::{BlobStream, Piece};
pub use groups::{
    AnsweredBy, ConflictSide, GroupConflict, GroupConflicts, GroupError, GroupName, GroupNames, GroupRepository,
    GroupRoute, GroupSpec, NameKeeping, NameRules, Resolved, Sought, Want,
};
pub use hosted::{
    At, BodyStream, CatalogPage, Channel, ChannelState, Channels, Chunk, Follow, GcCounts, GcEnd, GcItem, GcLeftOvers,
    GcMode, GcPatience, GcReport, GcRepository, GcRequest, GcSettings, HostedAddress, HostedError, HostedRepository,
    HostedRoute, HostedSpec, IfMoved, Immutability, InvalidHostedAddress, ManifestPush, Mount, MovedTag, Place,
    Promoted, Promotion, PromotionList, PromotionRequest, Promotions, PushLimits, PushPolicy, PushedManifest, Pusher,
    ReferrersPage, ReferrersQuery, RevertedPromotion, Rule, RuleVerdict, Shown, Untagged, Wanted, Workflow,
    WorkflowRun, parse_time, show_time, workflow_loop,
};
pub use metadata::{InvalidPromotionId, InvalidPromotionState, PromotionId, PromotionState, Rehearsal};
pub use metrics::{Metrics, PullKind};
pub use outcome::{Freshness, PullOutcome};
pub use pull::{AtHand, BlobFacts, ManifestAnswer, OpenBlob, ReferrersAnswer, TagsAnswer, TagsQuery};
pub use registry::{Readiness, Registry, RegistryConfig, StartError, Stores};
pub use repositories::{
    ConfiguredRepository, FIELDS, FieldDoc, FieldProblem, FillOnRange, HeaderTrace, HealthCheck, NamePattern,
    NetworkSpec, Provenance, ReferrersSource, Repository, RepositoryAdmin, RepositoryError, RepositorySpec,
    RepositoryView, Route, RouteQuery, Source, Strategy, TagPattern, UpstreamDefaults, UpstreamSpec, check_references,
    parse_duration, parse_size, read_own_limits,
};
pub use retention::{Held, Order, PlannedTag, Retention, RetentionPlan, RetentionRule, RetentionRun, RetentionSpec};
pub use tags_over_time::{ResolvedTag, Rollback, RolledBack, TagHistory, TagMoved, TagsOverTime};
pub use trace::TraceParent;
