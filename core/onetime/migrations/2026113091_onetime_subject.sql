-- +goose Up
-- Whom wrong codes are counted for, whatever row they were tried at: SHA-256 of an address or an account's id. Decoys have one too.
ALTER TABLE onetime ADD COLUMN subject BYTEA;

-- +goose Down
ALTER TABLE onetime DROP COLUMN subject;
