//! The statements of promotions, approvals, tags over time and retention.
//!
//! Must not know who runs them. Invariant: that of `sql`.

statements! {
    // --- promotions: what a manifest leads to
    HOSTED_CHILDREN = "SELECT c.digest, c.optional, m.size_bytes AS manifest_size, b.size_bytes AS blob_size \
        FROM hosted_children c \
        LEFT JOIN hosted_manifests m ON m.repo = c.repo AND m.name = c.name AND m.digest = c.digest \
        LEFT JOIN hosted_links l ON l.repo = c.repo AND l.name = c.name AND l.digest = c.digest \
        LEFT JOIN hosted_blobs b ON b.digest = l.digest \
        WHERE c.repo = $1 AND c.name = $2 AND c.manifest = $3";
    REFERRERS_OF_HOSTED = "SELECT digest FROM hosted_manifests WHERE repo = $1 AND name = $2 AND subject = $3 LIMIT $4";
    SIGNATURE_TAGS = "SELECT tag, digest FROM hosted_tags \
        WHERE repo = $1 AND name = $2 AND tag IN ($3, $4, $5, $6) ORDER BY tag";

    // --- promotions: copying. $1 $2 from, $3 digest, $4 $5 to
    COPY_HOSTED_MANIFEST = "INSERT INTO hosted_manifests (repo, name, digest, media_type, size_bytes, subject, \
            artifact_type, referrer, pushed_at, pushed_by) \
        SELECT $4, $5, digest, media_type, size_bytes, subject, artifact_type, referrer, $6, $7 \
        FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3 \
        ON CONFLICT (repo, name, digest) DO NOTHING";
    COPY_HOSTED_CHILDREN = "INSERT INTO hosted_children (repo, name, manifest, digest, optional) \
        SELECT $4, $5, manifest, digest, optional FROM hosted_children WHERE repo = $1 AND name = $2 AND manifest = $3 \
        ON CONFLICT (repo, name, manifest, digest) DO NOTHING";
    COPY_HOSTED_LINK = "INSERT INTO hosted_links (repo, name, digest, linked_at) \
        SELECT $4, $5, digest, $6 FROM hosted_links WHERE repo = $1 AND name = $2 AND digest = $3 \
        ON CONFLICT (repo, name, digest) DO NOTHING";

    // --- promotions: their record
    PUT_PROMOTION = "INSERT INTO promotions (id, state, happened_at, principal, workflow, from_repo, from_name, \
            from_reference, to_repo, to_name, to_tag, digest, previous, manifests, blobs, size_bytes, rules, reason) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, happened_at = excluded.happened_at, \
            previous = excluded.previous, manifests = excluded.manifests, blobs = excluded.blobs, \
            size_bytes = excluded.size_bytes, rules = excluded.rules, reason = excluded.reason";
    PUT_BROUGHT = "INSERT INTO promotion_brought (promotion, kind, digest) VALUES ($1, $2, $3)";
    PUT_PROMOTED_TAG = "INSERT INTO promotion_tags (promotion, tag, digest, previous) VALUES ($1, $2, $3, $4)";
    FIND_PROMOTION = "SELECT * FROM promotions WHERE id = $1";
    LIST_PROMOTIONS = "SELECT * FROM promotions WHERE id < $1 AND ($2 IS NULL OR state = $2) \
        AND ($3 IS NULL OR to_repo = $3) ORDER BY id DESC LIMIT $4";
    WAITING_PROMOTIONS = "SELECT * FROM promotions WHERE state = 'waiting' AND id > $1 \
        ORDER BY id LIMIT $2";
    LATEST_PROMOTION_OF = "SELECT * FROM promotions WHERE from_repo = $1 AND from_name = $2 AND to_repo = $3 \
        AND to_name = $4 AND to_tag = $5 AND digest = $6 AND state = $7 ORDER BY id DESC LIMIT 1";
    END_WAITING = "UPDATE promotions SET state = 'refused', reason = $2, rules = $3 WHERE id = $1 AND state = 'waiting'";
    STILL_WAITING = "UPDATE promotions SET reason = $2, rules = $3 WHERE id = $1 AND state = 'waiting'";
    PRUNE_REFUSED = "DELETE FROM promotions WHERE state = 'refused' AND id NOT IN (\
        SELECT id FROM promotions WHERE state = 'refused' ORDER BY id DESC LIMIT $1)";
    MARK_REVERTED = "UPDATE promotions SET state = 'reverted', reverted_at = $2, reverted_by = $3 WHERE id = $1";
    PROMOTION_BROUGHT = "SELECT kind, digest FROM promotion_brought WHERE promotion = $1 ORDER BY kind, digest";
    COUNT_BROUGHT = "SELECT kind, COUNT(*) AS brought FROM promotion_brought WHERE promotion = $1 GROUP BY kind";
    PROMOTED_TAGS = "SELECT tag, digest, previous FROM promotion_tags WHERE promotion = $1 ORDER BY tag";

    // --- reverting: only what is as the promotion left it, nobody was told of ($5: now), and nobody else needs
    UNTOUCHED_MANIFEST = "SELECT subject FROM hosted_manifests \
        WHERE repo = $1 AND name = $2 AND digest = $3 AND pushed_at = $4 AND leased_until <= $5 \
        AND NOT EXISTS (SELECT 1 FROM hosted_tags t WHERE t.repo = $1 AND t.name = $2 AND t.digest = $3)";
    UNLINK_UNTOUCHED = "DELETE FROM hosted_links WHERE repo = $1 AND name = $2 AND digest = $3 AND linked_at = $4 \
        AND leased_until <= $5 \
        AND NOT EXISTS (SELECT 1 FROM hosted_children c WHERE c.repo = $1 AND c.name = $2 AND c.digest = $3)";

    // --- tags over time
    HOSTED_TAG_AT = "SELECT digest, happened_at, principal, cause, promotion FROM hosted_tag_events \
        WHERE repo = $1 AND name = $2 AND tag = $3 AND happened_at <= $4 ORDER BY id DESC LIMIT 1";
    HOSTED_TAG_SINCE = "SELECT digest, happened_at, principal, cause, promotion FROM hosted_tag_events \
        WHERE repo = $1 AND name = $2 AND tag = $3 AND id > $4 ORDER BY id DESC LIMIT 1";
    TAGGED_AT = "SELECT tagged_at FROM hosted_tags WHERE repo = $1 AND name = $2 AND tag = $3";
    TAG_AT = "SELECT digest, observed_at, upstream FROM tag_events \
        WHERE repo = $1 AND name = $2 AND tag = $3 AND observed_at <= $4 ORDER BY id DESC LIMIT 1";

    TAG_EVENTS_AFTER = "SELECT id, repo, name, tag, digest, happened_at FROM hosted_tag_events WHERE id > $1 ORDER BY id LIMIT $2";
    FIND_DONE = "SELECT d.value AS done_at, s.value AS settings FROM hosted_marks d \
        JOIN hosted_marks s ON s.mark = $2 WHERE d.mark = $1";
    DONE_IN = "SELECT mark FROM hosted_marks WHERE mark LIKE $1";
    DROP_MARK = "DELETE FROM hosted_marks WHERE mark = $1";
    GET_MARK = "SELECT value FROM hosted_marks WHERE mark = $1";
    SET_MARK = "INSERT INTO hosted_marks (mark, value) VALUES ($1, $2) \
        ON CONFLICT (mark) DO UPDATE SET value = excluded.value";

    // --- retention
    HOSTED_TAG_FACTS = "SELECT t.name, t.tag, t.digest, t.tagged_at, p.pulled_at FROM hosted_tags t \
        LEFT JOIN hosted_pulls p ON p.repo = t.repo AND p.name = t.name AND p.digest = t.digest \
        WHERE t.repo = $1 AND (t.name, t.tag) > ($2, $3) ORDER BY t.name, t.tag LIMIT $4";
    HOSTED_TAG_FACTS_NOW = "SELECT t.name, t.tag, t.digest, t.tagged_at, p.pulled_at FROM hosted_tags t \
        LEFT JOIN hosted_pulls p ON p.repo = t.repo AND p.name = t.name AND p.digest = t.digest \
        WHERE t.repo = $1 AND t.name = $2 AND t.tag = $3";
    HOSTED_TAG_FACTS_OF = "SELECT t.name, t.tag, t.digest, t.tagged_at, NULL AS pulled_at FROM hosted_tags t \
        WHERE t.repo = $1 AND t.name = $2 ORDER BY t.tag LIMIT $3";
    NOTE_PULL = "INSERT INTO hosted_pulls (repo, name, digest, pulled_at) \
        SELECT repo, name, digest, $4 FROM hosted_manifests WHERE repo = $1 AND name = $2 AND digest = $3 \
        ON CONFLICT (repo, name, digest) DO UPDATE SET pulled_at = excluded.pulled_at";
    PRUNE_PULLS = "DELETE FROM hosted_pulls WHERE NOT EXISTS (SELECT 1 FROM hosted_manifests m \
        WHERE m.repo = hosted_pulls.repo AND m.name = hosted_pulls.name AND m.digest = hosted_pulls.digest)";

    // --- approvals
    PUT_APPROVAL = "INSERT INTO approvals (repo, name, digest, principal, approved_at, note) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (repo, name, digest, principal) \
        DO UPDATE SET approved_at = excluded.approved_at, note = excluded.note";
    LIST_APPROVALS = "SELECT principal, approved_at, note FROM approvals \
        WHERE repo = $1 AND name = $2 AND digest = $3 ORDER BY approved_at LIMIT 100";
}
