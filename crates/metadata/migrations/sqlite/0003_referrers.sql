-- What upstream said of a manifest's referrers, as the image index that answers the question.
CREATE TABLE referrers (
    repo TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    document TEXT NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (repo, name, subject)
);
