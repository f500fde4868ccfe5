-- +goose Up
CREATE TABLE credential_recoverycode (
    account_id UUID        NOT NULL PRIMARY KEY REFERENCES account (id),
    salt       BYTEA       NOT NULL, -- 16 random bytes, of this set
    macs       BYTEA       NOT NULL, -- 32 bytes of each code that is left
    created_at TIMESTAMPTZ NOT NULL,
    CHECK (length(macs) % 32 = 0)
);
