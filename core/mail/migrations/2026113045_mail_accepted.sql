-- +goose Up
-- Made anew, because SQLite can't change what a CHECK allows.
CREATE TABLE mail_queue_next (
    id                 UUID        NOT NULL PRIMARY KEY, -- the idempotency key given to the mailer
    purpose            TEXT        NOT NULL,
    state              TEXT        NOT NULL CHECK (state IN ('queued', 'sending', 'accepted', 'sent', 'failed', 'expired', 'uncertain', 'withheld')),
    mailer             TEXT        NOT NULL DEFAULT '', -- who owns the message while it is 'accepted', and who did once it is settled; empty: this queue
    decoy              BOOLEAN     NOT NULL DEFAULT FALSE, -- goes through the queue like any other and is never sent
    payload            BYTEA,                            -- the sealed message; NULL once it is settled
    attempts           INTEGER     NOT NULL DEFAULT 0,
    possible_duplicate BOOLEAN     NOT NULL DEFAULT FALSE,
    uncertain          INTEGER     NOT NULL DEFAULT 0,   -- attempts whose outcome nobody knows
    next_at            TIMESTAMPTZ NOT NULL,             -- of a row being sent: when its sender is given up; of an accepted one: when its report is overdue
    deadline           TIMESTAMPTZ NOT NULL,
    last_error         TEXT        NOT NULL DEFAULT '',
    created_at         TIMESTAMPTZ NOT NULL,
    settled_at         TIMESTAMPTZ,
    recipient          BYTEA                             -- keyed hash of the address, by which the messages to somebody who is deleted are found
);

INSERT INTO mail_queue_next (id, purpose, state, decoy, payload, attempts, possible_duplicate, uncertain, next_at, deadline, last_error, created_at, settled_at, recipient)
    SELECT id, purpose, state, decoy, payload, attempts, possible_duplicate, uncertain, next_at, deadline, last_error, created_at, settled_at, recipient FROM mail_queue;

DROP TABLE mail_queue;

ALTER TABLE mail_queue_next RENAME TO mail_queue;

CREATE INDEX mail_queue_due ON mail_queue (next_at) WHERE state IN ('queued', 'sending', 'accepted');

CREATE INDEX mail_queue_settled ON mail_queue (settled_at) WHERE settled_at IS NOT NULL;

CREATE INDEX mail_queue_recipient ON mail_queue (recipient) WHERE recipient IS NOT NULL;
