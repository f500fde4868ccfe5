-- +goose Up
CREATE TABLE credential_password (
    account_id UUID        NOT NULL PRIMARY KEY REFERENCES account (id),
    hash       TEXT        NOT NULL, -- PHC string
    created_at TIMESTAMPTZ NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL  -- by the person; a rehash is no change
);
