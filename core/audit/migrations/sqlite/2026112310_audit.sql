-- +goose Up
-- Where each commit-ordered log stands: see core/commitlog. On SQLite the era is always 0.
CREATE TABLE log_era (
    log       TEXT PRIMARY KEY,
    era       INTEGER NOT NULL,
    pruned_tx INTEGER NOT NULL
);
INSERT INTO log_era (log, era, pruned_tx) VALUES ('audit_log', 0, 0);

CREATE TABLE audit_log (
    era             INTEGER NOT NULL,
    tx              INTEGER NOT NULL DEFAULT 0,
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL,
    occurred_at     INTEGER NOT NULL, -- microseconds since 1970
    action          TEXT NOT NULL,
    category        TEXT NOT NULL,
    crud            TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_display   TEXT NOT NULL,
    impersonator    TEXT,
    targets         TEXT,
    organization_id TEXT,
    session_id      TEXT,
    request_id      TEXT NOT NULL,
    correlation_id  TEXT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    auth_method     TEXT NOT NULL,
    metadata        TEXT
);
CREATE UNIQUE INDEX audit_log_id ON audit_log (id);
CREATE INDEX audit_log_time ON audit_log (occurred_at, id);
CREATE INDEX audit_log_action ON audit_log (action, occurred_at, id);
CREATE INDEX audit_log_category ON audit_log (category, occurred_at, id);
CREATE INDEX audit_log_actor ON audit_log (actor_id, occurred_at, id) WHERE actor_id <> '';
CREATE INDEX audit_log_outcome ON audit_log (outcome, occurred_at, id) WHERE outcome <> 'success';
CREATE INDEX audit_log_organization ON audit_log (organization_id, occurred_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_log_session ON audit_log (session_id, occurred_at, id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_log_request ON audit_log (request_id, occurred_at, id) WHERE request_id <> '';
CREATE INDEX audit_log_ip ON audit_log (ip, occurred_at, id) WHERE ip <> '';

-- One row per target of an audit row, so that a target's history is found by an index.
CREATE TABLE audit_target (
    target_id   TEXT NOT NULL,
    target_type TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    id          TEXT NOT NULL,
    PRIMARY KEY (target_id, target_type, occurred_at, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE audit_target;
DROP TABLE audit_log;
DROP TABLE log_era;
