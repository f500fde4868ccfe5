-- +goose Up
-- Keys that sign the short-lived tokens of sessions.
CREATE TABLE signing_key (
    id         UUID        NOT NULL PRIMARY KEY,
    state      TEXT        NOT NULL,  -- 'next': published; 'current': signs; 'retired': published, for what it has signed
    since      TIMESTAMPTZ NOT NULL,  -- of the state
    sealed     BYTEA       NOT NULL   -- the private key, PKCS #8
);

-- One next and one current key, whatever two nodes do at the same time.
CREATE UNIQUE INDEX signing_key_state ON signing_key (state) WHERE state <> 'retired';
