-- +goose Up
-- What applications show.
CREATE TABLE application_key (
    id           UUID        NOT NULL PRIMARY KEY,
    name         TEXT        NOT NULL,
    hash         BYTEA       NOT NULL UNIQUE,  -- SHA-256 of the key
    hint         TEXT        NOT NULL,         -- its last characters, to recognize it by
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,                  -- NULL: it does not
    last_used_at TIMESTAMPTZ
);

CREATE INDEX application_key_expires ON application_key (expires_at) WHERE expires_at IS NOT NULL;
