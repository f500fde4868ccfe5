-- +goose Up
ALTER TABLE account ADD COLUMN username TEXT;     -- account.Username.Display; NULL without one, and once deleted
ALTER TABLE account ADD COLUMN username_key TEXT; -- account.Username.Key

-- One live account per username: two who choose it at once meet here.
CREATE UNIQUE INDEX account_username ON account (username_key) WHERE status <> 'deleted';
