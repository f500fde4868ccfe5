-- +goose Up
-- Keyed hash of the address, by which the messages to somebody who is deleted are found. NULL: queued before there was one.
ALTER TABLE mail_queue ADD COLUMN recipient BYTEA;
CREATE INDEX mail_queue_recipient ON mail_queue (recipient) WHERE recipient IS NOT NULL;
