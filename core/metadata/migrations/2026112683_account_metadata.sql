-- +goose Up
CREATE TABLE account_metadata (
    account_id UUID        NOT NULL REFERENCES account (id),
    scope      TEXT        NOT NULL CHECK (scope IN ('public', 'private', 'user')),
    version    BIGINT      NOT NULL CHECK (version > 0), -- one more with every change, and after an erasure it begins anew
    value      TEXT        NOT NULL,                     -- a JSON object, members sorted
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, scope)
);
