-- +goose Up
-- Who owns a message in state 'accepted', and who owned it once it is settled; empty: nobody but this queue.
ALTER TABLE mail_queue ADD COLUMN mailer TEXT NOT NULL DEFAULT '';
DROP INDEX mail_queue_due;
CREATE INDEX mail_queue_due ON mail_queue (next_at) WHERE state IN ('queued', 'sending', 'accepted');
