-- +goose Up
-- Where each sink stands in its log.
CREATE TABLE relay_cursor (
    sink          TEXT PRIMARY KEY,
    log           TEXT NOT NULL,      -- table it reads
    era           INTEGER NOT NULL,   -- everything at or before (era, tx, seq) is delivered, refused or unwanted
    tx            BIGINT NOT NULL,
    seq           BIGINT NOT NULL,
    token         BIGINT NOT NULL,    -- fencing token of the runner's lease: only it may move the cursor
    node          TEXT NOT NULL,      -- the last runner
    delivered     BIGINT NOT NULL,
    failures      INTEGER NOT NULL,   -- in a row, up to now
    retry_at      TIMESTAMPTZ,
    last_error    TEXT NOT NULL,
    last_error_at TIMESTAMPTZ,
    updated_at    TIMESTAMPTZ NOT NULL,
    seen_at       TIMESTAMPTZ NOT NULL, -- when somebody last had the sink attached
    detached_at   TIMESTAMPTZ           -- set when it was detached on purpose
);

-- Rows that a sink refused for good.
CREATE TABLE relay_dead_letter (
    sink      TEXT NOT NULL,
    row_id    TEXT NOT NULL,
    log       TEXT NOT NULL,
    era       INTEGER NOT NULL,
    tx        BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    kind      TEXT NOT NULL,     -- the row's action or the event's type
    reason    TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    failed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (sink, row_id)
);
CREATE INDEX relay_dead_letter_order ON relay_dead_letter (sink, era, tx, seq);
CREATE INDEX relay_dead_letter_time ON relay_dead_letter (failed_at);

-- +goose Down
DROP TABLE relay_dead_letter;
DROP TABLE relay_cursor;
