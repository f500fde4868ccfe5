-- +goose Up
CREATE TABLE mailglass_message (
	id              TEXT PRIMARY KEY, -- Sigra's idempotency key
	purpose         TEXT NOT NULL,
	stream          TEXT NOT NULL,
	sender          TEXT NOT NULL,
	recipient       TEXT NOT NULL,
	subject         TEXT NOT NULL,
	organization_id TEXT NOT NULL,
	sealed          BYTEA, -- the MIME message; NULL once it is done
	state           TEXT NOT NULL, -- queued, sending, accepted, inbox, failed, uncertain, expired
	answer          TEXT NOT NULL,
	attempts        BIGINT NOT NULL,
	due_at          TIMESTAMPTZ NOT NULL, -- of a queued one: when to try; of one being sent: when its sender has surely died
	deadline        TIMESTAMPTZ,
	created_at      TIMESTAMPTZ NOT NULL,
	updated_at      TIMESTAMPTZ NOT NULL,
	reported        BOOLEAN NOT NULL
);
CREATE INDEX mailglass_message_due ON mailglass_message (due_at) WHERE state IN ('queued', 'sending') OR NOT reported;
CREATE INDEX mailglass_message_created ON mailglass_message (created_at);

-- +goose Down
DROP TABLE mailglass_message;
