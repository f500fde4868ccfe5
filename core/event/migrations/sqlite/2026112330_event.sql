-- +goose Up
INSERT INTO log_era (log, era, pruned_tx) VALUES ('host_event', 0, 0);

CREATE TABLE host_event (
    era         INTEGER NOT NULL,
    tx          INTEGER NOT NULL DEFAULT 0,
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL,    -- the application's, the key of the effect
    type        TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    subject     TEXT NOT NULL,
    source      TEXT NOT NULL,
    data        TEXT NOT NULL,    -- JSON as it came
    digest      BLOB NOT NULL     -- SHA-256 of the content, to tell a repetition from a conflict
);
CREATE UNIQUE INDEX host_event_id ON host_event (id);
CREATE INDEX host_event_time ON host_event (received_at);

-- +goose Down
DROP TABLE host_event;
DELETE FROM log_era WHERE log = 'host_event';
