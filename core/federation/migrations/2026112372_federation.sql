-- +goose Up
CREATE TABLE federation_state (
    id           UUID        NOT NULL PRIMARY KEY,
    state_hash   BYTEA       NOT NULL,  -- SHA-256 of the state that travels through the provider
    browser_hash BYTEA       NOT NULL,  -- SHA-256 of the secret in the browser's cookie
    account_id   UUID,                  -- who links; NULL for a sign-in
    payload      BYTEA,                 -- sealed; NULL once spent
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    spent_at     TIMESTAMPTZ
);

CREATE UNIQUE INDEX federation_state_hash ON federation_state (state_hash);
CREATE INDEX federation_state_account ON federation_state (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX federation_state_expiry ON federation_state (expires_at);

CREATE TABLE federation_identity (
    id           UUID        NOT NULL PRIMARY KEY,
    account_id   UUID        NOT NULL REFERENCES account (id),
    provider     TEXT        NOT NULL,  -- the name of its block
    issuer       TEXT        NOT NULL,  -- what the subject is unique within
    subject      TEXT        NOT NULL,
    email        TEXT,                  -- as the provider gave it when it was linked
    created_at   TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    CHECK (length(subject) BETWEEN 1 AND 255)
);

-- A login elsewhere belongs to one account: two links at once meet here.
CREATE UNIQUE INDEX federation_identity_subject ON federation_identity (provider, issuer, subject);
CREATE INDEX federation_identity_account ON federation_identity (account_id, id);
