-- +goose Up
-- When whoever has the link let the browser with the flow go on.
ALTER TABLE onetime ADD COLUMN approved_at TIMESTAMPTZ;
