-- Why a tag moved, and which promotion moved it.
ALTER TABLE hosted_tag_events ADD COLUMN cause TEXT NOT NULL DEFAULT 'push';
ALTER TABLE hosted_tag_events ADD COLUMN promotion TEXT;
UPDATE hosted_tag_events SET cause = 'delete' WHERE digest IS NULL;

-- What was copied from one hosted name to another, what waits to be, and what was refused. rules is JSON.
CREATE TABLE promotions (
    id             TEXT   NOT NULL PRIMARY KEY,
    state          TEXT   NOT NULL,
    happened_at    BIGINT NOT NULL,
    principal      TEXT   NOT NULL,
    workflow       TEXT,
    from_repo      TEXT   NOT NULL,
    from_name      TEXT   NOT NULL,
    from_reference TEXT   NOT NULL,
    to_repo        TEXT   NOT NULL,
    to_name        TEXT   NOT NULL,
    to_tag         TEXT   NOT NULL,
    digest         TEXT   NOT NULL,
    previous       TEXT,
    manifests      BIGINT NOT NULL,
    blobs          BIGINT NOT NULL,
    size_bytes     BIGINT NOT NULL,
    rules          TEXT   NOT NULL,
    reason         TEXT,
    reverted_at    BIGINT,
    reverted_by    TEXT
) WITHOUT ROWID;

CREATE INDEX promotions_by_state ON promotions (state, id);

-- What a promotion added to its target: kind is 'manifest' or 'blob'.
CREATE TABLE promotion_brought (
    promotion TEXT NOT NULL REFERENCES promotions (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (promotion, kind, digest)
) WITHOUT ROWID;

-- The tags that a promotion moved, its own and those of signatures. previous is NULL for a tag that was not there.
CREATE TABLE promotion_tags (
    promotion TEXT NOT NULL REFERENCES promotions (id) ON DELETE CASCADE,
    tag       TEXT NOT NULL,
    digest    TEXT NOT NULL,
    previous  TEXT,
    PRIMARY KEY (promotion, tag)
) WITHOUT ROWID;

CREATE TABLE approvals (
    repo        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    digest      TEXT   NOT NULL,
    principal   TEXT   NOT NULL,
    approved_at BIGINT NOT NULL,
    note        TEXT   NOT NULL,
    PRIMARY KEY (repo, name, digest, principal)
) WITHOUT ROWID;

-- When a manifest was last asked for, by tag or by digest.
CREATE TABLE hosted_pulls (
    repo      TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    digest    TEXT   NOT NULL,
    pulled_at BIGINT NOT NULL,
    PRIMARY KEY (repo, name, digest)
) WITHOUT ROWID;

-- Numbers that there is one of: 'pulls_known_since' (a time: earlier pulls were not noted), 'events_handled' (the last
-- tag event that workflows and channels were told of).
CREATE TABLE hosted_marks (
    mark  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) WITHOUT ROWID;

INSERT INTO hosted_marks (mark, value) VALUES ('pulls_known_since', CAST(strftime('%s', 'now') AS INTEGER) * 1000);
INSERT INTO hosted_marks (mark, value) SELECT 'events_handled', COALESCE(MAX(id), 0) FROM hosted_tag_events;
