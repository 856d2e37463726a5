-- Until when a blob or manifest is held although nothing needs it: a client was told that it is there, and may be about
-- to push what needs it.
ALTER TABLE hosted_links ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosted_manifests ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;

-- What a collector found unneeded, and when. kind is 'link' or 'manifest'. Whoever touches what is condemned removes the
-- row; run tells the collector that wrote it from all others.
CREATE TABLE hosted_condemned (
    kind         TEXT   NOT NULL,
    repo         TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    digest       TEXT   NOT NULL,
    condemned_at BIGINT NOT NULL,
    run          BIGINT NOT NULL,
    PRIMARY KEY (kind, repo, name, digest)
) WITHOUT ROWID;
