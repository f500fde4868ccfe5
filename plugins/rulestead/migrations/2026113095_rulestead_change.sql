-- +goose Up
CREATE TABLE rulestead_change (
	id           BIGINT PRIMARY KEY,
	base         BIGINT NOT NULL,
	definitions  JSONB NOT NULL,
	author       TEXT NOT NULL,
	author_name  TEXT NOT NULL,
	comment      TEXT NOT NULL,
	apply_at     TIMESTAMPTZ,
	state        TEXT NOT NULL,
	closed_by    TEXT NOT NULL,
	closed_at    TIMESTAMPTZ,
	version      BIGINT NOT NULL,
	created_at   TIMESTAMPTZ NOT NULL
);
CREATE TABLE rulestead_approval (
	change_id     BIGINT NOT NULL REFERENCES rulestead_change (id) ON DELETE CASCADE,
	approver      TEXT NOT NULL,
	approver_name TEXT NOT NULL,
	created_at    TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (change_id, approver)
);

-- +goose Down
DROP TABLE rulestead_approval;
DROP TABLE rulestead_change;
