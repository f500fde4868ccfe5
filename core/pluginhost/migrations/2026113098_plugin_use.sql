-- +goose Up
-- Which nodes run which plugins. The row of a plugin whose node is '' is locked by whoever changes that, and says until when the
-- plugin is being purged.
CREATE TABLE plugin_use (
    plugin TEXT        NOT NULL,
    node   TEXT        NOT NULL,
    until  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (plugin, node)
);

-- +goose Down
DROP TABLE plugin_use;
