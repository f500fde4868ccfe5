-- +goose Up
-- Whatever grants something to its bearer (secrets, codes, refresh tokens, tickets) is here by its SHA-256 alone.
CREATE TABLE lockspire_client (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	kind       TEXT NOT NULL, -- web, browser, native, service
	status     TEXT NOT NULL, -- active, disabled
	config     JSONB NOT NULL,
	created_at TIMESTAMPTZ NOT NULL,
	updated_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE lockspire_secret (
	id           UUID PRIMARY KEY,
	client_id    TEXT NOT NULL REFERENCES lockspire_client (id) ON DELETE CASCADE,
	hash         BYTEA NOT NULL,
	created_at   TIMESTAMPTZ NOT NULL,
	expires_at   TIMESTAMPTZ, -- NULL: never
	last_used_at TIMESTAMPTZ  -- to the hour
);
CREATE INDEX lockspire_secret_client ON lockspire_secret (client_id);
CREATE TABLE lockspire_key (
	kid        TEXT PRIMARY KEY, -- the JWK thumbprint
	alg        TEXT NOT NULL,
	public     JSONB NOT NULL,
	sealed     BYTEA, -- the private key, sealed by Sigra; NULL once it has retired
	active_at  TIMESTAMPTZ NOT NULL,
	retired_at TIMESTAMPTZ, -- when it is published no more
	created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE lockspire_consent (
	user_id    TEXT NOT NULL,
	client_id  TEXT NOT NULL REFERENCES lockspire_client (id) ON DELETE CASCADE,
	scopes     JSONB NOT NULL,
	granted_at TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (user_id, client_id)
);
CREATE INDEX lockspire_consent_client ON lockspire_consent (client_id);
-- A request that waits for the person. It belongs to a session once that session was asked for consent.
CREATE TABLE lockspire_interaction (
	hash       BYTEA PRIMARY KEY,
	client_id  TEXT NOT NULL REFERENCES lockspire_client (id) ON DELETE CASCADE,
	request    JSONB NOT NULL,
	session_id TEXT NOT NULL, -- empty: nobody's yet
	ticket     BYTEA, -- of the consent form shown last
	asked      BIGINT NOT NULL, -- how often the person was sent to sign in
	answer     TEXT NOT NULL, -- empty, allow, deny
	created_at TIMESTAMPTZ NOT NULL,
	expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX lockspire_interaction_expires ON lockspire_interaction (expires_at);
-- One authorization: everything issued for it ends with it.
CREATE TABLE lockspire_grant (
	id         UUID PRIMARY KEY,
	client_id  TEXT NOT NULL REFERENCES lockspire_client (id) ON DELETE CASCADE,
	user_id    TEXT NOT NULL,
	session_id TEXT NOT NULL,
	detail     JSONB NOT NULL, -- scopes, resources, nonce, how and when the person signed in
	created_at TIMESTAMPTZ NOT NULL,
	used_at    TIMESTAMPTZ NOT NULL,
	expires_at TIMESTAMPTZ NOT NULL,
	ended_at   TIMESTAMPTZ,
	end_reason TEXT NOT NULL
);
CREATE INDEX lockspire_grant_user ON lockspire_grant (user_id, client_id);
CREATE INDEX lockspire_grant_client ON lockspire_grant (client_id);
CREATE INDEX lockspire_grant_expires ON lockspire_grant (expires_at);
CREATE TABLE lockspire_code (
	hash         BYTEA PRIMARY KEY,
	grant_id     UUID NOT NULL REFERENCES lockspire_grant (id) ON DELETE CASCADE,
	client_id    TEXT NOT NULL,
	redirect_uri TEXT NOT NULL,
	challenge    TEXT NOT NULL,
	expires_at   TIMESTAMPTZ NOT NULL,
	spent_at     TIMESTAMPTZ
);
CREATE INDEX lockspire_code_grant ON lockspire_code (grant_id);
CREATE TABLE lockspire_refresh (
	hash       BYTEA PRIMARY KEY,
	grant_id   UUID NOT NULL REFERENCES lockspire_grant (id) ON DELETE CASCADE,
	client_id  TEXT NOT NULL,
	expires_at TIMESTAMPTZ NOT NULL,
	spent_at   TIMESTAMPTZ,
	successor  BYTEA, -- the hash of the token that replaced it
	answer     BYTEA  -- what was answered when it was spent, encrypted with the token itself, for a short while
);
CREATE INDEX lockspire_refresh_grant ON lockspire_refresh (grant_id);
CREATE INDEX lockspire_refresh_expires ON lockspire_refresh (expires_at);
-- Access tokens revoked by themselves, until they expire.
CREATE TABLE lockspire_revoked (
	jti        TEXT PRIMARY KEY,
	expires_at TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE lockspire_revoked;
DROP TABLE lockspire_refresh;
DROP TABLE lockspire_code;
DROP TABLE lockspire_grant;
DROP TABLE lockspire_interaction;
DROP TABLE lockspire_consent;
DROP TABLE lockspire_key;
DROP TABLE lockspire_secret;
DROP TABLE lockspire_client;
