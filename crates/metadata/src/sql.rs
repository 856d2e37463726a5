//! Every statement, on one page.
//!
//! Must not know who runs them. Invariant: apart from SQLite's own at the top, this is SQL that SQLite and PostgreSQL both
//! read alike (`$1`, `ON CONFLICT`, no functions of one engine); no statement is put together at run time. The order of
//! names and tags is left to Rust, because engines collate differently.

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
    BEGIN = "BEGIN IMMEDIATE";
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

    // --- blobs
    PUT_BLOB = "INSERT INTO blobs (digest, size_bytes, last_used) VALUES ($1, $2, $3) \
        ON CONFLICT (digest) DO UPDATE SET size_bytes = excluded.size_bytes, last_used = excluded.last_used";
    FIND_BLOB = "SELECT digest, size_bytes, last_used FROM blobs WHERE digest = $1";
    DELETE_BLOB = "DELETE FROM blobs WHERE digest = $1";
    LIST_BLOBS = "SELECT digest, size_bytes, last_used FROM blobs ORDER BY last_used, digest";
    OLDEST_BLOBS = "SELECT digest, size_bytes, last_used FROM blobs ORDER BY last_used, digest LIMIT $1";
    TOUCH_BLOB = "UPDATE blobs SET last_used = $2 WHERE digest = $1";
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqlSafeStr as _};

    use super::{
        ALL, FIND_BLOB, FIND_LISTED, FIND_MANIFEST, FIND_REFERRERS, FIND_TAG, IS_LINKED, LIST_BLOBS, OLDEST_BLOBS,
        TAG_HISTORY,
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
        for (name, text) in ALL {
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
            FIND_BLOB,
            LIST_BLOBS,
            OLDEST_BLOBS,
            TAG_HISTORY,
        ] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
            let plan = sqlx::query(explain).fetch_all(metadata.readers()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let by_index = |step: &String| step.contains("USING") && (step.contains("INDEX") || step.contains("KEY"));
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
