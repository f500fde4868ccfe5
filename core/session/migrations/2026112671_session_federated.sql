-- +goose Up
-- The handle of the login elsewhere that the session rests on, so that it can end with it.
ALTER TABLE session ADD COLUMN federated TEXT;
CREATE INDEX session_federated ON session (federated) WHERE federated IS NOT NULL;
