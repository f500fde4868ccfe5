-- +goose Up
CREATE TABLE accrue_event (
	id           TEXT PRIMARY KEY,
	type         TEXT NOT NULL,
	occurred_at  TIMESTAMPTZ NOT NULL,
	received_at  TIMESTAMPTZ NOT NULL,
	version      BIGINT NOT NULL,
	account      TEXT NOT NULL, -- "organization:…" or "user:…"; empty where the type is not known
	subscription TEXT NOT NULL, -- empty for entitlements and unknown types
	data         JSONB NOT NULL
);
CREATE INDEX accrue_event_subscription ON accrue_event (account, subscription);
CREATE TABLE accrue_subscription (
	account    TEXT NOT NULL,
	id         TEXT NOT NULL,
	state      JSONB NOT NULL,
	updated_at TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (account, id)
);
CREATE TABLE accrue_grant (
	account    TEXT NOT NULL,
	feature    TEXT NOT NULL,
	quantity   BIGINT,
	expires_at TIMESTAMPTZ,
	reason     TEXT NOT NULL,
	event_id   TEXT NOT NULL,
	PRIMARY KEY (account, feature)
);
CREATE TABLE accrue_organization (
	organization_id UUID PRIMARY KEY,
	read_at         TIMESTAMPTZ -- when its members were read from Sigra; NULL: not yet
);
CREATE TABLE accrue_seat (
	organization_id UUID NOT NULL,
	holder          TEXT NOT NULL, -- "user:…", "invitation:…", "email:…"
	state           TEXT NOT NULL, -- reserved, held, assigned, suspended
	kind            TEXT NOT NULL,
	attempt_id      TEXT NOT NULL,
	reservation_id  TEXT NOT NULL,
	invitation      TEXT NOT NULL, -- the holder that a reservation takes over; empty: none
	since           TIMESTAMPTZ NOT NULL,
	expires_at      TIMESTAMPTZ, -- of a reservation
	PRIMARY KEY (organization_id, holder)
);
CREATE INDEX accrue_seat_attempt ON accrue_seat (attempt_id);

-- +goose Down
DROP TABLE accrue_seat;
DROP TABLE accrue_organization;
DROP TABLE accrue_grant;
DROP TABLE accrue_subscription;
DROP TABLE accrue_event;
