-- +goose Up
-- Where each commit-ordered log stands: see core/commitlog.
CREATE TABLE log_era (
    log       TEXT PRIMARY KEY,
    era       INTEGER NOT NULL,
    pruned_tx BIGINT NOT NULL   -- the largest tx of this era that retention removed
);
INSERT INTO log_era (log, era, pruned_tx) VALUES ('audit_log', 0, 0);

CREATE TABLE audit_log (
    era             INTEGER NOT NULL,
    tx              BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq             BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    id              UUID NOT NULL,
    occurred_at     TIMESTAMPTZ NOT NULL,
    action          TEXT COLLATE "C" NOT NULL,
    category        TEXT NOT NULL,
    crud            TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_display   TEXT NOT NULL,
    impersonator    JSONB,
    targets         JSONB,
    organization_id UUID,
    session_id      UUID,
    request_id      TEXT NOT NULL,
    correlation_id  TEXT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    auth_method     TEXT NOT NULL,
    metadata        JSONB,
    PRIMARY KEY (era, tx, seq)
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
    occurred_at TIMESTAMPTZ NOT NULL,
    id          UUID NOT NULL,
    PRIMARY KEY (target_id, target_type, occurred_at, id)
);

-- +goose Down
DROP TABLE audit_target;
DROP TABLE audit_log;
DROP TABLE log_era;
