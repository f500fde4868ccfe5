-- +goose Up
ALTER TABLE account ADD COLUMN disabled_by TEXT NOT NULL DEFAULT ''; -- the directory that stopped it and may start it again; empty: an administrator did

-- +goose Down
ALTER TABLE account DROP COLUMN disabled_by;
