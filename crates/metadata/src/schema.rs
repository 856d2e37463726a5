//! The tables, as a picture and as migrations.
//!
//! Must not know who reads them. Invariant: a released migration is never edited (its checksum is in every database);
//! a change is a new file. Each engine has its own migrations; the statements in `sql.rs` are shared.
//!
//! ```text
//!  repositories                      written through the API
//!  └ key ─ document (JSON)
//!      ┊ repo (no foreign key: built-in repositories have no row)
//!      ├┈ tags         repo, name, tag ──▶ digest, media_type    what upstream said last, and when
//!      ├┈ tag_events   repo, name, tag ──▶ digest, upstream      every change, oldest first
//!      └┈ links        repo, name, digest                        upstream answered for this digest under this name
//!      ├┈ referrers    repo, name, subject ──▶ document           who names this manifest, as upstream told it
//!
//!  manifests           digest ──▶ media_type, size               facts of bytes that lie in the blob store
//!  └─ descriptors      manifest, digest ──▶ media_type, size     what it says of each of its children
//!  blobs               digest ──▶ size_bytes, last_used          what the blob store holds, for the budget
//!
//!  hosted_blobs        digest ──▶ size_bytes                     what was pushed; never evicted, only deleted
//!  ├─ hosted_links     repo, name, digest                        this name has the blob
//!  └─ hosted_manifests repo, name, digest ──▶ media_type, …      this name has the manifest; subject, who pushed it
//!     ├─ hosted_children  repo, name, manifest, digest           what it needs, or would (optional)
//!     └─ hosted_tags      repo, name, tag ──▶ digest             and hosted_tag_events: every change and by whom
//!  hosted_condemned    kind, repo, name, digest                  what a collector found unneeded, and when
//!                                                                (kind 'file': a stored blob that no row knows)
//!  upload_sessions     id ──▶ repo, name, principal, acknowledged
//!
//!  promotions          id ──▶ from, to, digest, previous, rules  what was copied between hosted names, waits or was refused
//!  ├─ promotion_brought id, kind, digest                         what it added to its target
//!  └─ promotion_tags    id, tag ──▶ digest, previous             what it moved
//!  approvals           repo, name, digest, principal             who approved a manifest
//!  hosted_pulls        repo, name, digest ──▶ pulled_at          when a manifest was last asked for
//!  hosted_marks        mark ──▶ value                            how far the tag events were handled; 'store_id'
//!                                                                says which store's rows these are
//!  group_names         group_key, name ──▶ member                who keeps a name in a group
//! ```

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const SQLITE: [(i64, &str, &str); 8] = [
    (1, "initial", include_str!("../migrations/sqlite/0001_initial.sql")),
    (2, "links are confirmed", include_str!("../migrations/sqlite/0002_links_are_confirmed.sql")),
    (3, "referrers", include_str!("../migrations/sqlite/0003_referrers.sql")),
    (4, "hosted", include_str!("../migrations/sqlite/0004_hosted.sql")),
    (5, "garbage", include_str!("../migrations/sqlite/0005_garbage.sql")),
    (6, "over time", include_str!("../migrations/sqlite/0006_over_time.sql")),
    (7, "groups", include_str!("../migrations/sqlite/0007_groups.sql")),
    (9, "promotions of a tag", include_str!("../migrations/sqlite/0009_promotions_of_a_tag.sql")),
];

/// The newest schema this build knows.
pub(crate) const SUPPORTED: i64 = SQLITE[SQLITE.len() - 1].0;

/// All migrations for SQLite, in their order.
pub(crate) fn migrator() -> Migrator {
    let migration = |(version, name, text): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(SQLITE.into_iter().map(migration).collect())
}
