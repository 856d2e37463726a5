//! Every statement, on one page.
//!
//! Must not know who runs them. Invariant: apart from SQLite's own at the top, this is SQL that SQLite and PostgreSQL both
//! read alike (`$1`, `ON CONFLICT`, no functions of one engine); no statement is put together at run time. In the cache's
//! tables the order of names and tags is left to Rust, because engines collate differently; the hosted tables, which are
//! read in pages, are compared by bytes in every engine.

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(crate) const $name: &str = $text;)*

        /// All of them with their names, for the test that prepares each.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

statements! {
    // --- SQLite's own
    BEGIN = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";
    BEGIN_DURABLE = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
    CHECK = "PRAGMA quick_check(1)";
    FORGET_FREE_PAGES = "VACUUM";
    CUT_LOG = "PRAGMA wal_checkpoint(TRUNCATE)";

    // --- repositories
    LIST_REPOSITORIES = "SELECT key, document, created_at, updated_at FROM repositories";
    FIND_REPOSITORY = "SELECT key, document, created_at, updated_at FROM repositories WHERE key = $1";
    INSERT_REPOSITORY = "INSERT INTO repositories (key, document, created_at, updated_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (key) DO NOTHING";
    RESEAL_REPOSITORY = "UPDATE repositories SET document = $2 WHERE key = $1";
    UPDATE_REPOSITORY = "UPDATE repositories SET document = $2, updated_at = $3 WHERE key = $1";
    DELETE_REPOSITORY = "DELETE FROM repositories WHERE key = $1";
    FORGET_TAGS = "DELETE FROM tags WHERE repo = $1";
    FORGET_TAG_EVENTS = "DELETE FROM tag_events WHERE repo = $1";
    FORGET_LINKS = "DELETE FROM links WHERE repo = $1";

    // --- tags: $4 digest, $5 session, $6 sequence decide; an answer to an older question changes nothing
    FIND_TAG = "SELECT digest, media_type, checked_at, changed_at FROM tags \
        WHERE repo = $1 AND name = $2 AND tag = $3 AND digest IS NOT NULL";
    LATEST_TAG = "SELECT name, tag FROM tags WHERE repo = $1 AND digest IS NOT NULL \
        ORDER BY checked_at DESC, name, tag LIMIT 1";
    LIST_TAGS = "SELECT tag FROM tags WHERE repo = $1 AND name = $2 AND digest IS NOT NULL";
    RECORD_MOVE = "INSERT INTO tag_events (repo, name, tag, digest, observed_at, upstream) \
        SELECT $1, $2, $3, $4, $7, $8 WHERE NOT EXISTS (\
            SELECT 1 FROM tags WHERE repo = $1 AND name = $2 AND tag = $3 \
            AND (digest = $4 OR (session = $5 AND sequence > $6)))";
    OBSERVE_TAG = "INSERT INTO tags (repo, name, tag, digest, session, sequence, checked_at, changed_at, media_type) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) \
        ON CONFLICT (repo, name, tag) DO UPDATE SET \
            digest = excluded.digest, media_type = excluded.media_type, checked_at = excluded.checked_at, \
            changed_at = CASE WHEN tags.digest = excluded.digest THEN tags.changed_at ELSE excluded.changed_at END, \
            session = excluded.session, sequence = excluded.sequence \
        WHERE NOT (tags.session = excluded.session AND tags.sequence > excluded.sequence)";
    TOUCH_TAG = "UPDATE tags SET checked_at = $5 WHERE repo = $1 AND name = $2 AND tag = $3 AND digest = $4";
    DELETE_TAG = "UPDATE tags SET digest = NULL, media_type = NULL, session = $4, sequence = $5, \
            checked_at = $6, changed_at = $6 \
        WHERE repo = $1 AND name = $2 AND tag = $3 AND digest IS NOT NULL \
        AND NOT (session = $4 AND sequence > $5)";

    // --- tag history
    RECORD_GONE = "INSERT INTO tag_events (repo, name, tag, digest, observed_at, upstream) \
        VALUES ($1, $2, $3, NULL, $4, $5)";
    PRUNE_TAG_EVENTS = "DELETE FROM tag_events WHERE repo = $1 AND name = $2 AND tag = $3 AND id NOT IN (\
        SELECT id FROM tag_events WHERE repo = $1 AND name = $2 AND tag = $3 ORDER BY id DESC LIMIT $4)";
    TAG_HISTORY = "SELECT digest, observed_at, upstream FROM tag_events \
        WHERE repo = $1 AND name = $2 AND tag = $3 ORDER BY id DESC LIMIT $4";

    // --- referrers
    PUT_REFERRERS = "INSERT INTO referrers (repo, name, subject, document, checked_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (repo, name, subject) DO UPDATE SET document = excluded.document, checked_at = excluded.checked_at";
    FIND_REFERRERS = "SELECT document, checked_at FROM referrers WHERE repo = $1 AND name = $2 AND subject = $3";
    FORGET_REFERRERS = "DELETE FROM referrers WHERE repo = $1";

    // --- links
    LINK = "INSERT INTO links (repo, name, digest) VALUES ($1, $2, $3) ON CONFLICT (repo, name, digest) DO NOTHING";
    IS_LINKED = "SELECT 1 FROM links WHERE repo = $1 AND name = $2 AND digest = $3";
    UNLINK = "DELETE FROM links WHERE repo = $1 AND name = $2 AND digest = $3";

    // --- manifests and what they say of their children
    PUT_MANIFEST = "INSERT INTO manifests (digest, media_type, size) VALUES ($1, $2, $3) \
        ON CONFLICT (digest) DO UPDATE SET media_type = excluded.media_type, size = excluded.size";
    FIND_MANIFEST = "SELECT digest, media_type, size FROM manifests WHERE digest = $1";
    DELETE_MANIFEST = "DELETE FROM manifests WHERE digest = $1";
    PUT_DESCRIPTOR = "INSERT INTO descriptors (manifest, digest, media_type, size) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (manifest, digest) DO NOTHING";
    FIND_LISTED = "SELECT d.media_type, d.size FROM descriptors d \
        JOIN links l ON l.repo = $2 AND l.name = $3 AND l.digest = d.manifest WHERE d.digest = $1";
    FIND_LISTING = "SELECT d.manifest FROM descriptors d \
        JOIN links l ON l.repo = $2 AND l.name = $3 AND l.digest = d.manifest WHERE d.digest = $1 LIMIT $4";

    // --- blobs
    PUT_BLOB = "INSERT INTO blobs (digest, size_bytes, last_used) VALUES ($1, $2, $3) \
        ON CONFLICT (digest) DO UPDATE SET size_bytes = excluded.size_bytes, last_used = excluded.last_used";
    FIND_BLOB = "SELECT digest, size_bytes, last_used FROM blobs WHERE digest = $1";
    DELETE_BLOB = "DELETE FROM blobs WHERE digest = $1";
    LIST_BLOBS = "SELECT digest, size_bytes, last_used FROM blobs ORDER BY last_used, digest";
    OLDEST_BLOBS = "SELECT digest, size_bytes, last_used FROM blobs ORDER BY last_used, digest LIMIT $1";
    TOUCH_BLOB = "UPDATE blobs SET last_used = $2 WHERE digest = $1";

    // --- hosted: uploads under way
    INSERT_UPLOAD = "INSERT INTO upload_sessions (id, repo, name, principal, algorithm, acknowledged, touched_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    ACKNOWLEDGE_UPLOAD = "UPDATE upload_sessions SET acknowledged = $2, touched_at = $3 WHERE id = $1";
    SHORTEN_UPLOAD = "UPDATE upload_sessions SET acknowledged = $2 WHERE id = $1 AND acknowledged > $2";
    DELETE_UPLOAD = "DELETE FROM upload_sessions WHERE id = $1";
    LIST_UPLOADS = "SELECT id, repo, name, principal, algorithm, acknowledged, touched_at FROM upload_sessions";

    // --- hosted: blobs
    PUT_HOSTED_BLOB = "INSERT INTO hosted_blobs (digest, size_bytes, stored_at) VALUES ($1, $2, $3) \
        ON CONFLICT (digest) DO NOTHING";
    LINK_HOSTED_BLOB = "INSERT INTO hosted_links (repo, name, digest, linked_at, leased_until) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (repo, name, digest) DO UPDATE SET linked_at = excluded.linked_at, \
            leased_until = CASE WHEN hosted_links.leased_until < excluded.leased_until THEN excluded.leased_until \
                ELSE hosted_links.leased_until END";
    UNLINK_HOSTED_BLOB = "DELETE FROM hosted_links WHERE repo = $1 AND name = $2 AND digest = $3";
    FIND_HOSTED_BLOB = "SELECT b.size_bytes, l.leased_until FROM hosted_links l JOIN hosted_blobs b ON b.digest = l.digest \
        WHERE l.repo = $1 AND l.name = $2 AND l.digest = $3";
    IS_HOSTED_BLOB_IN = "SELECT 1 FROM hosted_links WHERE digest = $1 AND repo = $2 LIMIT 1";
    HOSTED_BLOB_SIZE = "SELECT size_bytes FROM hosted_blobs WHERE digest = $1";
    HAS_HOSTED_BLOBS = "SELECT 1 FROM hosted_blobs LIMIT 1";
    KNOWN_HOSTED_BLOBS = "SELECT digest FROM hosted_blobs WHERE digest >= $1 AND digest < $2";
    FORGET_HOSTED_BLOB = "DELETE FROM hosted_blobs WHERE digest = $1 \
        AND NOT EXISTS (SELECT 1 FROM hosted_links l WHERE l.digest = $1) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests m WHERE m.digest = $1)";
    UNNEEDED_HOSTED_BLOBS = "SELECT digest FROM hosted_blobs b \
        WHERE NOT EXISTS (SELECT 1 FROM hosted_links l WHERE l.digest = b.digest) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests m WHERE m.digest = b.digest)";

    // --- hosted: manifests and what they list
    PUT_HOSTED_MANIFEST = "INSERT INTO hosted_manifests (repo, name, digest, media_type, size_bytes, subject, \
            artifact_type, referrer, pushed_at, pushed_by, leased_until) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (repo, name, digest) DO UPDATE SET pushed_at = excluded.pushed_at, pushed_by = excluded.pushed_by, \
            leased_until = excluded.leased_until";
    FIND_HOSTED_MANIFEST = "SELECT media_type, size_bytes FROM hosted_manifests \
        WHERE repo = $1 AND name = $2 AND digest = $3";
    DELETE_HOSTED_MANIFEST = "DELETE FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3";
    PUT_HOSTED_CHILD = "INSERT INTO hosted_children (repo, name, manifest, digest, optional) \
        VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (repo, name, manifest, digest) DO NOTHING";
    HOLDERS_OF_HOSTED = "SELECT manifest FROM hosted_children WHERE repo = $1 AND name = $2 AND digest = $3";
    LIST_HOSTED_REFERRERS = "SELECT digest, artifact_type FROM hosted_manifests \
        WHERE repo = $1 AND name = $2 AND subject = $3 AND digest > $4 AND ($5 IS NULL OR artifact_type = $5) \
        ORDER BY digest LIMIT $6";
    HOSTED_REFERRER = "SELECT referrer FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3";
    LIST_HOSTED_NAMES = "SELECT DISTINCT name FROM hosted_manifests WHERE repo = $1 AND name > $2 \
        ORDER BY name LIMIT $3";
    HAS_HOSTED_NAME = "SELECT 1 FROM hosted_manifests WHERE repo = $1 AND name = $2 \
        UNION ALL SELECT 1 FROM hosted_links WHERE repo = $1 AND name = $2 LIMIT 1";
    HAS_HOSTED_CONTENT = "SELECT 1 FROM hosted_manifests WHERE repo = $1 \
        UNION ALL SELECT 1 FROM hosted_links WHERE repo = $1 LIMIT 1";

    // --- hosted: garbage. What is needed is said once for links and once for manifests, and asked again by whoever acts on it.
    LIST_HELD_LINKS = "SELECT l.name, l.digest, b.size_bytes, l.leased_until, c.condemned_at, c.run, \
            CASE WHEN EXISTS (SELECT 1 FROM hosted_children k \
                    WHERE k.repo = l.repo AND k.name = l.name AND k.digest = l.digest) \
                OR EXISTS (SELECT 1 FROM hosted_manifests m \
                    WHERE m.repo = l.repo AND m.name = l.name AND m.digest = l.digest) THEN 1 ELSE 0 END AS needed \
        FROM hosted_links l JOIN hosted_blobs b ON b.digest = l.digest LEFT JOIN hosted_condemned c \
            ON c.kind = 'link' AND c.repo = l.repo AND c.name = l.name AND c.digest = l.digest \
        WHERE l.repo = $1 AND (l.name, l.digest) > ($2, $3) ORDER BY l.name, l.digest LIMIT $4";
    LIST_HELD_MANIFESTS = "SELECT m.name, m.digest, m.size_bytes, m.leased_until, c.condemned_at, c.run, \
            CASE WHEN EXISTS (SELECT 1 FROM hosted_tags t \
                    WHERE t.repo = m.repo AND t.name = m.name AND t.digest = m.digest) \
                OR EXISTS (SELECT 1 FROM hosted_children k \
                    WHERE k.repo = m.repo AND k.name = m.name AND k.digest = m.digest) \
                OR EXISTS (SELECT 1 FROM hosted_manifests s \
                    WHERE s.repo = m.repo AND s.name = m.name AND s.digest = m.subject) THEN 1 ELSE 0 END AS needed \
        FROM hosted_manifests m LEFT JOIN hosted_condemned c \
            ON c.kind = 'manifest' AND c.repo = m.repo AND c.name = m.name AND c.digest = m.digest \
        WHERE m.repo = $1 AND (m.name, m.digest) > ($2, $3) ORDER BY m.name, m.digest LIMIT $4";
    CONDEMN_LINK = "INSERT INTO hosted_condemned (kind, repo, name, digest, condemned_at, run) \
        SELECT 'link', l.repo, l.name, l.digest, $4, $5 FROM hosted_links l \
        WHERE l.repo = $1 AND l.name = $2 AND l.digest = $3 AND l.leased_until <= $4 \
        AND NOT EXISTS (SELECT 1 FROM hosted_children k WHERE k.repo = $1 AND k.name = $2 AND k.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests m WHERE m.repo = $1 AND m.name = $2 AND m.digest = $3) \
        ON CONFLICT (kind, repo, name, digest) DO NOTHING";
    CONDEMN_MANIFEST = "INSERT INTO hosted_condemned (kind, repo, name, digest, condemned_at, run) \
        SELECT 'manifest', m.repo, m.name, m.digest, $4, $5 FROM hosted_manifests m \
        WHERE m.repo = $1 AND m.name = $2 AND m.digest = $3 AND m.leased_until <= $4 \
        AND NOT EXISTS (SELECT 1 FROM hosted_tags t WHERE t.repo = $1 AND t.name = $2 AND t.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_children k WHERE k.repo = $1 AND k.name = $2 AND k.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests s WHERE s.repo = $1 AND s.name = $2 AND s.digest = m.subject) \
        ON CONFLICT (kind, repo, name, digest) DO NOTHING";
    COLLECT_LINK = "DELETE FROM hosted_links WHERE repo = $1 AND name = $2 AND digest = $3 AND leased_until <= $4 \
        AND EXISTS (SELECT 1 FROM hosted_condemned c WHERE c.kind = 'link' AND c.repo = $1 AND c.name = $2 \
            AND c.digest = $3 AND c.condemned_at = $5 AND c.run = $6) \
        AND NOT EXISTS (SELECT 1 FROM hosted_children k WHERE k.repo = $1 AND k.name = $2 AND k.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests m WHERE m.repo = $1 AND m.name = $2 AND m.digest = $3)";
    COLLECT_MANIFEST = "DELETE FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3 \
        AND leased_until <= $4 \
        AND EXISTS (SELECT 1 FROM hosted_condemned c WHERE c.kind = 'manifest' AND c.repo = $1 AND c.name = $2 \
            AND c.digest = $3 AND c.condemned_at = $5 AND c.run = $6) \
        AND NOT EXISTS (SELECT 1 FROM hosted_tags t WHERE t.repo = $1 AND t.name = $2 AND t.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_children k WHERE k.repo = $1 AND k.name = $2 AND k.digest = $3) \
        AND NOT EXISTS (SELECT 1 FROM hosted_manifests s \
            WHERE s.repo = $1 AND s.name = $2 AND s.digest = hosted_manifests.subject)";
    PARDON = "DELETE FROM hosted_condemned WHERE kind = $1 AND repo = $2 AND name = $3 AND digest = $4";
    CONDEMNED_FILES = "SELECT digest, condemned_at FROM hosted_condemned \
        WHERE kind = 'file' AND repo = '' AND name = '' AND digest >= $1 AND digest < $2";
    CONDEMN_FILE = "INSERT INTO hosted_condemned (kind, repo, name, digest, condemned_at, run) \
        VALUES ('file', '', '', $1, $2, $3) ON CONFLICT (kind, repo, name, digest) \
        DO UPDATE SET condemned_at = excluded.condemned_at, run = excluded.run";
    PARDON_FILE = "DELETE FROM hosted_condemned WHERE kind = 'file' AND repo = '' AND name = '' AND digest = $1";
    PARDON_MANIFESTS = "DELETE FROM hosted_condemned WHERE kind = 'manifest' AND repo = $1";
    PARDON_ALL = "DELETE FROM hosted_condemned";
    LEASE_LINK = "UPDATE hosted_links SET leased_until = CASE WHEN leased_until < $4 THEN $4 ELSE leased_until END \
        WHERE repo = $1 AND name = $2 AND digest = $3";
    LEASE_MANIFEST = "UPDATE hosted_manifests \
        SET leased_until = CASE WHEN leased_until < $4 THEN $4 ELSE leased_until END \
        WHERE repo = $1 AND name = $2 AND digest = $3";
    SHORTEN_LINK_LEASE = "UPDATE hosted_links SET leased_until = $4 \
        WHERE repo = $1 AND name = $2 AND digest = $3 AND leased_until > $4";
    SHORTEN_MANIFEST_LEASE = "UPDATE hosted_manifests SET leased_until = $4 \
        WHERE repo = $1 AND name = $2 AND digest = $3 AND leased_until > $4";
    END_OF_LINKS = "SELECT repo, name, digest FROM hosted_links WHERE (repo, name, digest) > ($1, $2, $3) \
        ORDER BY repo, name, digest LIMIT 1 OFFSET $4";
    END_OF_MANIFESTS = "SELECT repo, name, digest FROM hosted_manifests WHERE (repo, name, digest) > ($1, $2, $3) \
        ORDER BY repo, name, digest LIMIT 1 OFFSET $4";
    LEASE_LINKS = "UPDATE hosted_links SET leased_until = $7 \
        WHERE (repo, name, digest) > ($1, $2, $3) AND (repo, name, digest) <= ($4, $5, $6)";
    LEASE_MANIFESTS = "UPDATE hosted_manifests SET leased_until = $7 \
        WHERE (repo, name, digest) > ($1, $2, $3) AND (repo, name, digest) <= ($4, $5, $6)";
    LEASE_LAST_LINKS = "UPDATE hosted_links SET leased_until = $4 WHERE (repo, name, digest) > ($1, $2, $3)";
    LEASE_LAST_MANIFESTS = "UPDATE hosted_manifests SET leased_until = $4 WHERE (repo, name, digest) > ($1, $2, $3)";
    FIND_MANIFEST_LEASE = "SELECT leased_until FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3";
    COUNT_HOLDERS = "SELECT (SELECT COUNT(*) FROM hosted_links WHERE digest = $1) \
        + (SELECT COUNT(*) FROM hosted_manifests WHERE digest = $1) AS holders";

    // --- hosted: tags
    FIND_HOSTED_TAG = "SELECT digest FROM hosted_tags WHERE repo = $1 AND name = $2 AND tag = $3";
    RESOLVE_HOSTED_TAG = "SELECT t.digest, m.media_type FROM hosted_tags t JOIN hosted_manifests m \
            ON m.repo = t.repo AND m.name = t.name AND m.digest = t.digest \
        WHERE t.repo = $1 AND t.name = $2 AND t.tag = $3";
    LIST_HOSTED_TAGS = "SELECT tag FROM hosted_tags WHERE repo = $1 AND name = $2 AND tag > $3 ORDER BY tag LIMIT $4";
    TAGS_OF_HOSTED = "SELECT tag FROM hosted_tags WHERE repo = $1 AND name = $2 AND digest = $3";
    POINT_HOSTED_TAG = "INSERT INTO hosted_tags (repo, name, tag, digest, tagged_at, tagged_by) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (repo, name, tag) DO UPDATE SET \
            digest = excluded.digest, tagged_at = excluded.tagged_at, tagged_by = excluded.tagged_by";
    DELETE_HOSTED_TAG = "DELETE FROM hosted_tags WHERE repo = $1 AND name = $2 AND tag = $3";
    RECORD_HOSTED_TAG_EVENT = "INSERT INTO hosted_tag_events \
            (repo, name, tag, digest, happened_at, principal, cause, promotion) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    PRUNE_HOSTED_TAG_EVENTS = "DELETE FROM hosted_tag_events WHERE repo = $1 AND name = $2 AND tag = $3 AND id NOT IN (\
        SELECT id FROM hosted_tag_events WHERE repo = $1 AND name = $2 AND tag = $3 ORDER BY id DESC LIMIT $4)";
    HOSTED_TAG_HISTORY = "SELECT digest, happened_at, principal, cause, promotion FROM hosted_tag_events \
        WHERE repo = $1 AND name = $2 AND tag = $3 ORDER BY id DESC LIMIT $4";

    // --- groups: who keeps a name, and what members are known to have
    FIND_GROUP_NAME = "SELECT name, member, since, checked_at FROM group_names WHERE group_key = $1 AND name = $2";
    LIST_GROUP_NAMES = "SELECT name, member, since, checked_at FROM group_names WHERE group_key = $1 AND name > $2 \
        ORDER BY name LIMIT $3";
    KEEP_GROUP_NAME = "INSERT INTO group_names (group_key, name, member, since, checked_at) VALUES ($1, $2, $3, $4, $4) \
        ON CONFLICT (group_key, name) DO UPDATE SET member = excluded.member, checked_at = excluded.checked_at, \
            since = CASE WHEN group_names.member = excluded.member THEN group_names.since ELSE excluded.since END";
    RELEASE_GROUP_NAME = "DELETE FROM group_names WHERE group_key = $1 AND name = $2";
    RELEASE_GROUP_NAMES = "DELETE FROM group_names WHERE group_key = $1";
    HAS_HOSTED_MANIFESTS = "SELECT 1 FROM hosted_manifests WHERE repo = $1 AND name = $2 LIMIT 1";
    HAS_KNOWN_NAME = "SELECT 1 FROM tags WHERE repo = $1 AND name = $2 AND digest IS NOT NULL \
        UNION ALL SELECT 1 FROM links WHERE repo = $1 AND name = $2 LIMIT 1";
    DIFFERING_HOSTED = "SELECT a.name, a.tag, a.digest, b.digest AS other_digest FROM hosted_tags a \
        JOIN hosted_tags b ON b.repo = $2 AND b.name = a.name AND b.tag = a.tag \
        WHERE a.repo = $1 AND b.digest <> a.digest ORDER BY a.name, a.tag LIMIT $3";
    DIFFERING_PROXIES = "SELECT a.name, a.tag, a.digest, b.digest AS other_digest FROM tags a \
        JOIN tags b ON b.repo = $2 AND b.name = a.name AND b.tag = a.tag \
        WHERE a.repo = $1 AND b.digest <> a.digest ORDER BY a.name, a.tag LIMIT $3";
    DIFFERING_MIXED = "SELECT a.name, a.tag, a.digest, b.digest AS other_digest FROM hosted_tags a \
        JOIN tags b ON b.repo = $2 AND b.name = a.name AND b.tag = a.tag \
        WHERE a.repo = $1 AND b.digest <> a.digest ORDER BY a.name, a.tag LIMIT $3";
}

pub(crate) mod over_time;

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqlSafeStr as _};

    use super::{
        ALL, DIFFERING_HOSTED, DIFFERING_MIXED, DIFFERING_PROXIES, FIND_BLOB, FIND_GROUP_NAME, FIND_HOSTED_BLOB,
        FIND_HOSTED_MANIFEST, FIND_LISTED, FIND_LISTING, FIND_MANIFEST, FIND_MANIFEST_LEASE, FIND_REFERRERS, FIND_TAG,
        HAS_HOSTED_MANIFESTS, HOLDERS_OF_HOSTED, IS_HOSTED_BLOB_IN, IS_LINKED, LIST_BLOBS, LIST_GROUP_NAMES,
        LIST_HELD_LINKS, LIST_HELD_MANIFESTS, LIST_HOSTED_NAMES, LIST_HOSTED_REFERRERS, LIST_HOSTED_TAGS, OLDEST_BLOBS,
        RESOLVE_HOSTED_TAG, TAG_HISTORY, TAGS_OF_HOSTED,
    };
    use crate::metadata::Metadata;

    async fn opened() -> (tempfile::TempDir, Metadata) {
        let directory = tempfile::tempdir().unwrap();
        let keys = crate::SealingKeys::new(crate::SealingKey::from_bytes(&[7; 32]), vec![]);
        let metadata = Metadata::open(&directory.path().join("test.db"), keys).await.unwrap();
        (directory, metadata)
    }

    #[tokio::test]
    async fn every_statement_prepares_against_the_schema() {
        let (_directory, metadata) = opened().await;
        for (name, text) in ALL.iter().chain(super::over_time::ALL) {
            let prepared = metadata.writer().prepare((*text).into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn what_a_pull_asks_is_found_by_index() {
        let (_directory, metadata) = opened().await;
        for text in [
            FIND_TAG,
            FIND_REFERRERS,
            IS_LINKED,
            FIND_MANIFEST,
            FIND_LISTED,
            FIND_LISTING,
            FIND_BLOB,
            LIST_BLOBS,
            OLDEST_BLOBS,
            TAG_HISTORY,
            FIND_HOSTED_BLOB,
            FIND_HOSTED_MANIFEST,
            FIND_MANIFEST_LEASE,
            HOLDERS_OF_HOSTED,
            LIST_HELD_LINKS,
            LIST_HELD_MANIFESTS,
            LIST_HOSTED_NAMES,
            LIST_HOSTED_REFERRERS,
            LIST_HOSTED_TAGS,
            RESOLVE_HOSTED_TAG,
            TAGS_OF_HOSTED,
            IS_HOSTED_BLOB_IN,
            FIND_GROUP_NAME,
            LIST_GROUP_NAMES,
            HAS_HOSTED_MANIFESTS,
            DIFFERING_HOSTED,
            DIFFERING_PROXIES,
            DIFFERING_MIXED,
            super::over_time::LATEST_PROMOTION_OF,
            super::over_time::COUNT_BROUGHT,
            super::over_time::WAITING_PROMOTIONS,
        ] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
            let plan = sqlx::query(explain).fetch_all(metadata.readers()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let by_index = |step: &String| {
                // A line that only says that the lines behind it are a question within the question.
                step.starts_with("CORRELATED SCALAR SUBQUERY")
                    || step.contains("USING") && (step.contains("INDEX") || step.contains("KEY"))
            };
            assert!(plan.iter().all(by_index), "{text}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let (_directory, metadata) = opened().await;
        let refused = sqlx::query("INSERT INTO blobs (digest, size_bytes, last_used) VALUES ('d', 1, 1)");
        let error = refused.execute(metadata.readers()).await.unwrap_err();
        assert!(error.to_string().contains("readonly"), "{error}");
        assert_eq!(metadata.list_blobs().await.unwrap(), []);
    }
}
