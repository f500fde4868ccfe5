-- +goose Up
CREATE TABLE sign_in (
    audit_id    UUID        NOT NULL PRIMARY KEY,
    occurred_at TIMESTAMPTZ NOT NULL,
    user_id     TEXT        NOT NULL
);
CREATE INDEX sign_in_user ON sign_in (user_id);
