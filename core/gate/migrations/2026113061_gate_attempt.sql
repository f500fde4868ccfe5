-- +goose Up
-- What a gate has yet to be told: a reservation whose action ended.
CREATE TABLE gate_attempt (
    attempt_id     TEXT        NOT NULL,
    gate           TEXT        NOT NULL,
    question       TEXT        NOT NULL,
    reservation_id TEXT        NOT NULL,
    committed      BOOLEAN     NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL, -- of the reservation
    created_at     TIMESTAMPTZ NOT NULL,
    due_at         TIMESTAMPTZ NOT NULL, -- the next try
    tries          BIGINT      NOT NULL,
    PRIMARY KEY (attempt_id, gate)
);

CREATE INDEX gate_attempt_due ON gate_attempt (due_at);
