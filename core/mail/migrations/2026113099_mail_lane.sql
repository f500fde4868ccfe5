-- +goose Up
-- 0: Sigra's own, 1: plugins', which wait for them.
ALTER TABLE mail_queue ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
DROP INDEX mail_queue_due;
CREATE INDEX mail_queue_due ON mail_queue (lane, next_at) WHERE state IN ('queued', 'sending', 'accepted');

-- +goose Down
DROP INDEX mail_queue_due;
ALTER TABLE mail_queue DROP COLUMN lane;
CREATE INDEX mail_queue_due ON mail_queue (next_at) WHERE state IN ('queued', 'sending', 'accepted');
