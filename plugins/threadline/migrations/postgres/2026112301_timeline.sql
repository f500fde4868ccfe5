-- +goose Up
-- Times are microseconds since 1970 in UTC. audit_id and occurred_at together are the key of the effect.
CREATE TABLE threadline_entry (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    audit_id        UUID   NOT NULL,
    occurred_at     BIGINT NOT NULL,
    ingested_at     BIGINT NOT NULL,
    position        TEXT COLLATE "C" NOT NULL,
    content_hash    TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C" NOT NULL,
    action          TEXT COLLATE "C" NOT NULL,
    category        TEXT COLLATE "C" NOT NULL,
    crud            TEXT COLLATE "C" NOT NULL,
    outcome         TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL,
    actor_type      TEXT COLLATE "C" NOT NULL,
    actor_id        TEXT COLLATE "C" NOT NULL,
    ip              TEXT COLLATE "C" NOT NULL,
    ip_key          TEXT COLLATE "C" NOT NULL,
    session_id      TEXT COLLATE "C" NOT NULL,
    request_id      TEXT COLLATE "C" NOT NULL,
    correlation_id  TEXT COLLATE "C" NOT NULL,
    auth_method     TEXT COLLATE "C" NOT NULL,
    -- What is only shown and never searched by itself: user agent, labels, impersonator, targets, metadata.
    detail          TEXT COLLATE "C" NOT NULL,
    UNIQUE (audit_id, occurred_at)
);
CREATE INDEX threadline_entry_time ON threadline_entry (occurred_at, audit_id);
CREATE INDEX threadline_entry_action ON threadline_entry (action, occurred_at, audit_id);
CREATE INDEX threadline_entry_organization ON threadline_entry (organization_id, occurred_at, audit_id) WHERE organization_id <> '';
CREATE INDEX threadline_entry_session ON threadline_entry (session_id, occurred_at, audit_id) WHERE session_id <> '';
CREATE INDEX threadline_entry_request ON threadline_entry (request_id, occurred_at, audit_id) WHERE request_id <> '';
CREATE INDEX threadline_entry_correlation ON threadline_entry (correlation_id, occurred_at, audit_id) WHERE correlation_id <> '';

-- One row per entry and per somebody or something it is about: did (as actor or impersonator), done (as target), or both.
CREATE TABLE threadline_link (
    ref_type    TEXT COLLATE "C" NOT NULL,
    ref_id      TEXT COLLATE "C" NOT NULL,
    occurred_at BIGINT  NOT NULL,
    audit_id    UUID    NOT NULL,
    did         BOOLEAN NOT NULL,
    done        BOOLEAN NOT NULL,
    PRIMARY KEY (ref_type, ref_id, occurred_at, audit_id)
);

-- A row that came again with other content. The entry is never overwritten.
CREATE TABLE threadline_conflict (
    audit_id     UUID   NOT NULL,
    content_hash TEXT COLLATE "C" NOT NULL,
    seen_at      BIGINT NOT NULL,
    content      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (audit_id, content_hash)
);
