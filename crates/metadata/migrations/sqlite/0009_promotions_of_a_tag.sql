-- The promotions of a manifest to a tag, which every push that workflows are about asks for.
CREATE INDEX promotions_by_target ON promotions (to_repo, to_name, to_tag, digest, state, id);

-- Whether a manifest is whole without it: a layer that may not be passed on. It counts as needed once it is here.
ALTER TABLE hosted_children ADD COLUMN optional BIGINT NOT NULL DEFAULT 0;
