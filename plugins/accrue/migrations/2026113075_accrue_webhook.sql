-- +goose Up
-- A webhook that was verified and the work that it is, in one row: who stored it has it applied.
CREATE TABLE accrue_webhook (
	provider    TEXT NOT NULL,
	event_id    TEXT NOT NULL, -- the provider's
	type        TEXT NOT NULL,
	body        BYTEA NOT NULL, -- as it came, so that it can be applied again without the provider
	received_at TIMESTAMPTZ NOT NULL,
	updated_at  TIMESTAMPTZ NOT NULL,
	state       TEXT NOT NULL, -- pending, done, dead
	attempts    BIGINT NOT NULL,
	due_at      TIMESTAMPTZ NOT NULL, -- of a pending one
	effect      TEXT NOT NULL, -- what came of it; empty: nothing yet
	alerts      TEXT NOT NULL, -- what an operator should look at, with commas between
	error       TEXT NOT NULL, -- of the last attempt
	PRIMARY KEY (provider, event_id)
);
CREATE INDEX accrue_webhook_due ON accrue_webhook (due_at) WHERE state = 'pending';
CREATE INDEX accrue_webhook_received ON accrue_webhook (received_at);
-- Which account a provider's customer is. An account is one customer of a provider.
CREATE TABLE accrue_link (
	provider  TEXT NOT NULL,
	customer  TEXT NOT NULL,
	account   TEXT NOT NULL,
	linked_at TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (provider, customer),
	UNIQUE (provider, account)
);
CREATE INDEX accrue_link_account ON accrue_link (account);

-- +goose Down
DROP TABLE accrue_link;
DROP TABLE accrue_webhook;
