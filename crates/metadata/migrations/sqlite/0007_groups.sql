-- Which member of a group keeps a name. group_key has no foreign key: groups of the configuration file have no row.

CREATE TABLE group_names (
    group_key  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    member     TEXT   NOT NULL,
    since      BIGINT NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (group_key, name)
) WITHOUT ROWID;
