-- +goose Up
-- A browser that an account was used from. A browser that several accounts use has a row, with the same token, for each.
CREATE TABLE device (
    id            UUID        NOT NULL PRIMARY KEY,
    account_id    UUID        NOT NULL REFERENCES account (id),
    token_hash    BYTEA       NOT NULL,            -- SHA-256 of the 32 random bytes in the browser's cookie
    user_agent    TEXT        NOT NULL DEFAULT '', -- when it was last seen
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at  TIMESTAMPTZ NOT NULL,            -- to the hour
    trusted_until TIMESTAMPTZ                      -- skips the second factor until then
);

CREATE UNIQUE INDEX device_browser ON device (account_id, token_hash);
CREATE INDEX device_token ON device (token_hash);
CREATE INDEX device_unseen ON device (last_seen_at);

-- The networks an account was used from: "192.0.2.0/24", "2001:db8:1::/48".
CREATE TABLE device_network (
    account_id   UUID        NOT NULL REFERENCES account (id),
    network      TEXT        NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL, -- to the hour
    PRIMARY KEY (account_id, network)
);

CREATE INDEX device_network_unseen ON device_network (last_seen_at);

-- The accounts that were ever used from a browser. Outlives their devices: an account that nobody has used for years, or
-- whose owner had its devices forgotten, must still be told of the next one.
CREATE TABLE device_account (
    account_id UUID        NOT NULL PRIMARY KEY REFERENCES account (id),
    since      TIMESTAMPTZ NOT NULL
);
