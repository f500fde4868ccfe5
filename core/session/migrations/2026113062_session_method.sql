-- +goose Up
-- How the session began, in the words of auth.login.success: an organization may allow some ways only.
ALTER TABLE session ADD COLUMN method TEXT NOT NULL DEFAULT '';
