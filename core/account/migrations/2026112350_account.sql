-- +goose Up
CREATE TABLE account (
    id              UUID        NOT NULL PRIMARY KEY,
    email           TEXT,                              -- in the form of account.ParseEmail; NULL once deleted
    status          TEXT        NOT NULL CHECK (status IN ('unconfirmed', 'active', 'disabled', 'deleted')),
    administrator   BOOLEAN     NOT NULL DEFAULT FALSE,
    confirmed_at    TIMESTAMPTZ,
    last_sign_in_at TIMESTAMPTZ,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    deleted_at      TIMESTAMPTZ,
    CHECK ((status = 'deleted') = (email IS NULL)),
    CHECK (email IS NULL OR length(email) <= 254)
);

-- One live account per address: two sign-ups at once meet here.
CREATE UNIQUE INDEX account_email ON account (email) WHERE status <> 'deleted';
-- Administrators are few and asked for ("is there one yet?").
CREATE INDEX account_administrator ON account (id) WHERE administrator;
-- What the sweeper of never-confirmed sign-ups looks for.
CREATE INDEX account_unconfirmed ON account (id) WHERE status = 'unconfirmed';
