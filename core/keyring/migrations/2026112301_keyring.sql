-- +goose Up
CREATE TABLE keyring_key (
    id         UUID PRIMARY KEY,
    kind       TEXT NOT NULL,        -- 'seal': encrypts; 'mac': the one key that keyed hashes are derived from
    state      TEXT NOT NULL,        -- 'active': in use; 'retired': only opens what it sealed
    wrapped    BYTEA NOT NULL,       -- the key, encrypted with the root key
    created_at TIMESTAMPTZ NOT NULL
);

-- One key of a kind is active, whatever two nodes do at the same time.
CREATE UNIQUE INDEX keyring_key_active ON keyring_key (kind) WHERE state = 'active';

-- +goose Down
DROP TABLE keyring_key;
