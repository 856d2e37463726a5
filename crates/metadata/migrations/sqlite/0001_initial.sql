-- The picture of these tables is in src/schema.rs. Times are unix milliseconds, sizes are bytes.
-- A released migration is never edited: its checksum is in every database it made.

CREATE TABLE repositories (
    key        TEXT   NOT NULL PRIMARY KEY,
    document   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;

-- digest and media_type are NULL once upstream said that the tag is gone.
CREATE TABLE tags (
    repo       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    tag        TEXT   NOT NULL,
    digest     TEXT,
    media_type TEXT,
    checked_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    session    BIGINT NOT NULL,
    sequence   BIGINT NOT NULL,
    PRIMARY KEY (repo, name, tag)
) WITHOUT ROWID;

CREATE TABLE tag_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    repo        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    tag         TEXT   NOT NULL,
    digest      TEXT,
    observed_at BIGINT NOT NULL,
    upstream    TEXT   NOT NULL
);

CREATE INDEX tag_events_by_tag ON tag_events (repo, name, tag, id);

CREATE TABLE links (
    repo   TEXT NOT NULL,
    name   TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (repo, name, digest)
) WITHOUT ROWID;

CREATE TABLE manifests (
    digest     TEXT   NOT NULL PRIMARY KEY,
    media_type TEXT   NOT NULL,
    size       BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE descriptors (
    manifest   TEXT   NOT NULL REFERENCES manifests (digest) ON DELETE CASCADE,
    digest     TEXT   NOT NULL,
    media_type TEXT   NOT NULL,
    size       BIGINT NOT NULL,
    PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;

CREATE INDEX descriptors_by_digest ON descriptors (digest);

CREATE TABLE blobs (
    digest     TEXT   NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    last_used  BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX blobs_by_last_used ON blobs (last_used, digest);
