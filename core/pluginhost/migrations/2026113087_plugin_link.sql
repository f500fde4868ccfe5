-- +goose Up
-- Addresses of plugins that work once.
CREATE TABLE plugin_link (
    id         UUID        NOT NULL PRIMARY KEY,
    token_hash BYTEA       NOT NULL, -- SHA-256; the token exists nowhere else
    plugin     TEXT        NOT NULL, -- the label of its block
    purpose    TEXT        NOT NULL,
    subject    TEXT        NOT NULL,
    data       BYTEA,                -- sealed; NULL: none
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX plugin_link_token ON plugin_link (token_hash);
CREATE INDEX plugin_link_subject ON plugin_link (plugin, purpose, subject);
