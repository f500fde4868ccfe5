-- +goose Up
-- Made anew, because SQLite can't change what a CHECK allows.
CREATE TABLE mail_queue_next (
    id                 UUID        NOT NULL PRIMARY KEY, -- the idempotency key given to the mailer
    purpose            TEXT        NOT NULL,
    state              TEXT        NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'expired', 'uncertain', 'withheld')),
    decoy              BOOLEAN     NOT NULL DEFAULT FALSE, -- goes through the queue like any other and is never sent
    payload            BYTEA,                            -- the sealed message; NULL once it is settled
    attempts           INTEGER     NOT NULL DEFAULT 0,
    possible_duplicate BOOLEAN     NOT NULL DEFAULT FALSE,
    uncertain          INTEGER     NOT NULL DEFAULT 0,   -- attempts whose outcome nobody knows
    next_at            TIMESTAMPTZ NOT NULL,             -- of a row being sent: when its sender is given up
    deadline           TIMESTAMPTZ NOT NULL,
    last_error         TEXT        NOT NULL DEFAULT '',
    created_at         TIMESTAMPTZ NOT NULL,
    settled_at         TIMESTAMPTZ
);

INSERT INTO mail_queue_next (id, purpose, state, payload, attempts, possible_duplicate, uncertain, next_at, deadline, last_error, created_at, settled_at)
    SELECT id, purpose, state, payload, attempts, possible_duplicate, uncertain, next_at, deadline, last_error, created_at, settled_at FROM mail_queue;

DROP TABLE mail_queue;

ALTER TABLE mail_queue_next RENAME TO mail_queue;

CREATE INDEX mail_queue_due ON mail_queue (next_at) WHERE state IN ('queued', 'sending');

CREATE INDEX mail_queue_settled ON mail_queue (settled_at) WHERE settled_at IS NOT NULL;
