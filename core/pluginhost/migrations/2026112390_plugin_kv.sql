-- +goose Up
-- Keys are bytes so that both databases order and compare them alike.
CREATE TABLE plugin_kv (
    plugin     TEXT        NOT NULL,
    key        BYTEA       NOT NULL,
    value      BYTEA       NOT NULL,
    version    BIGINT      NOT NULL,
    expires_at TIMESTAMPTZ,
    PRIMARY KEY (plugin, key)
);
CREATE INDEX plugin_kv_expires_at ON plugin_kv (expires_at) WHERE expires_at IS NOT NULL;

-- +goose Down
DROP TABLE plugin_kv;
