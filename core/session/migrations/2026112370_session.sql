-- +goose Up
CREATE TABLE session (
    id              UUID        NOT NULL PRIMARY KEY,
    token_hash      BYTEA       NOT NULL,             -- SHA-256 of the 32 random bytes
    account_id      UUID        NOT NULL REFERENCES account (id),
    organization_id UUID,                             -- the active one
    impersonator_id UUID,
    aal             TEXT        NOT NULL,
    amr             TEXT        NOT NULL,             -- RFC 8176 names, separated by spaces
    persistent      BOOLEAN     NOT NULL,
    auth_time       TIMESTAMPTZ NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    last_seen_at    TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,             -- the absolute end
    ip              TEXT        NOT NULL DEFAULT '',  -- of the last flushed activity
    user_agent      TEXT        NOT NULL DEFAULT ''
);

CREATE UNIQUE INDEX session_token ON session (token_hash);
CREATE INDEX session_account ON session (account_id, id);
CREATE INDEX session_expiry ON session (expires_at);
