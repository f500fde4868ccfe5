-- +goose Up
-- How many plugins passed something on, one to the next, before this row or event came of it. What came of no delivery has no row here.
CREATE TABLE plugin_hop (
    key        TEXT        NOT NULL PRIMARY KEY,
    hops       INTEGER     NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX plugin_hop_expires ON plugin_hop (expires_at);

-- +goose Down
DROP TABLE plugin_hop;
