-- +goose Up
INSERT INTO log_era (log, era, pruned_tx) VALUES ('host_event', 0, 0);

CREATE TABLE host_event (
    era         INTEGER NOT NULL,
    tx          BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    id          TEXT COLLATE "C" NOT NULL, -- the application's, the key of the effect
    type        TEXT COLLATE "C" NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    subject     TEXT NOT NULL,
    source      TEXT NOT NULL,
    data        TEXT NOT NULL,             -- JSON as it came; JSONB would reorder it
    digest      BYTEA NOT NULL,            -- SHA-256 of the content, to tell a repetition from a conflict
    PRIMARY KEY (era, tx, seq)
);
CREATE UNIQUE INDEX host_event_id ON host_event (id);
CREATE INDEX host_event_time ON host_event (received_at);

-- +goose Down
DROP TABLE host_event;
DELETE FROM log_era WHERE log = 'host_event';
