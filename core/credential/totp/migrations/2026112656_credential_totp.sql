-- +goose Up
CREATE TABLE credential_totp (
    account_id    UUID        NOT NULL PRIMARY KEY REFERENCES account (id),
    id            UUID        NOT NULL, -- of this enrolment: a replaced secret has another one
    secret        BYTEA       NOT NULL, -- sealed, 20 bytes, for this account
    created_at    TIMESTAMPTZ NOT NULL,
    confirmed_at  TIMESTAMPTZ,          -- NULL: begun, and worth nothing yet
    last_step     BIGINT,               -- RFC 6238's T of the newest code that was spent
    last_spent_at TIMESTAMPTZ,
    CHECK ((confirmed_at IS NULL) = (last_step IS NULL)),
    CHECK ((confirmed_at IS NULL) = (last_spent_at IS NULL))
);

-- What the sweeper of enrolments that were never confirmed looks for.
CREATE INDEX credential_totp_pending ON credential_totp (created_at) WHERE confirmed_at IS NULL;
