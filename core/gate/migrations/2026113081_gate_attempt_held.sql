-- +goose Up
-- Who settles the attempt, while its action waits for something: a plugin that asked, a sign-in before its second factor. Empty: nobody,
-- the action has ended.
ALTER TABLE gate_attempt ADD COLUMN held_by TEXT NOT NULL DEFAULT '';
