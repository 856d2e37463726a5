-- What people pushed. Nothing here is ever evicted or fetched again: these rows are the only record of acknowledged
-- pushes. Names, tags and digests are compared and ordered by their bytes.

CREATE TABLE hosted_blobs (
    digest     TEXT   NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    stored_at  BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE hosted_links (
    repo      TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    digest    TEXT   NOT NULL REFERENCES hosted_blobs (digest),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (repo, name, digest)
) WITHOUT ROWID;

CREATE INDEX hosted_links_by_digest ON hosted_links (digest);

-- referrer is the descriptor that lists the manifest under its subject; NULL when it has no subject.
CREATE TABLE hosted_manifests (
    repo          TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    digest        TEXT   NOT NULL REFERENCES hosted_blobs (digest),
    media_type    TEXT   NOT NULL,
    size_bytes    BIGINT NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    referrer      TEXT,
    pushed_at     BIGINT NOT NULL,
    pushed_by     TEXT   NOT NULL,
    PRIMARY KEY (repo, name, digest)
) WITHOUT ROWID;

CREATE INDEX hosted_manifests_by_digest ON hosted_manifests (digest);
CREATE INDEX hosted_manifests_by_subject ON hosted_manifests (repo, name, subject, digest);

CREATE TABLE hosted_children (
    repo     TEXT NOT NULL,
    name     TEXT NOT NULL,
    manifest TEXT NOT NULL,
    digest   TEXT NOT NULL,
    PRIMARY KEY (repo, name, manifest, digest),
    FOREIGN KEY (repo, name, manifest) REFERENCES hosted_manifests (repo, name, digest) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX hosted_children_by_digest ON hosted_children (repo, name, digest);

CREATE TABLE hosted_tags (
    repo      TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    tag       TEXT   NOT NULL,
    digest    TEXT   NOT NULL,
    tagged_at BIGINT NOT NULL,
    tagged_by TEXT   NOT NULL,
    PRIMARY KEY (repo, name, tag),
    FOREIGN KEY (repo, name, digest) REFERENCES hosted_manifests (repo, name, digest)
) WITHOUT ROWID;

CREATE INDEX hosted_tags_by_digest ON hosted_tags (repo, name, digest);

-- digest is NULL where the tag was deleted.
CREATE TABLE hosted_tag_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    repo        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    tag         TEXT   NOT NULL,
    digest      TEXT,
    happened_at BIGINT NOT NULL,
    principal   TEXT   NOT NULL
);

CREATE INDEX hosted_tag_events_by_tag ON hosted_tag_events (repo, name, tag, id);

-- acknowledged is how many bytes are known to be durable.
CREATE TABLE upload_sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    repo         TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    principal    TEXT   NOT NULL,
    algorithm    TEXT   NOT NULL,
    acknowledged BIGINT NOT NULL,
    touched_at   BIGINT NOT NULL
) WITHOUT ROWID;
