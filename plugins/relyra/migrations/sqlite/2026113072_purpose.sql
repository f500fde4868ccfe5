-- +goose Up
-- What a request is for: sign_in or test; and what became of a sign-in at Sigra, empty while that is open.
ALTER TABLE relyra_request ADD COLUMN purpose TEXT NOT NULL DEFAULT 'sign_in';
ALTER TABLE relyra_trace ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE relyra_trace ADD COLUMN outcome_reason TEXT NOT NULL DEFAULT '';
