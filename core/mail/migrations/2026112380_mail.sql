-- +goose Up
CREATE TABLE mail_queue (
    id                 UUID        NOT NULL PRIMARY KEY, -- the idempotency key given to the mailer
    purpose            TEXT        NOT NULL,
    state              TEXT        NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'expired', 'uncertain')),
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

CREATE INDEX mail_queue_due ON mail_queue (next_at) WHERE state IN ('queued', 'sending');
CREATE INDEX mail_queue_settled ON mail_queue (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE mail_inbox (
    id         UUID        NOT NULL PRIMARY KEY,
    purpose    TEXT        NOT NULL,
    message    JSONB       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX mail_inbox_created ON mail_inbox (created_at, id);
