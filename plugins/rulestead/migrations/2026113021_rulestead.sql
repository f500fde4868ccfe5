-- +goose Up
CREATE TABLE rulestead_version (
	version     BIGINT PRIMARY KEY,
	definitions JSONB NOT NULL,
	hash        TEXT NOT NULL,
	author      TEXT NOT NULL,
	comment     TEXT NOT NULL,
	created_at  TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE rulestead_version;
