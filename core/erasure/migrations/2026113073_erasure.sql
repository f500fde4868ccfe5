-- +goose Up
-- What plugins have yet to remove of people whose accounts were deleted.
CREATE TABLE erasure (
    id         UUID        NOT NULL PRIMARY KEY,
    plugin     TEXT        NOT NULL,
    subject    BYTEA       NOT NULL, -- sealed
    created_at TIMESTAMPTZ NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL, -- the next try
    tries      BIGINT      NOT NULL
);

CREATE INDEX erasure_due ON erasure (due_at);
