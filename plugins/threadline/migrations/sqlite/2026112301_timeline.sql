-- +goose Up
-- Times are microseconds since 1970 in UTC. The key of the effect is (audit id, occurred_at); an id that came with two
-- times would be two stories about one row, so the id alone is unique and the second story is a conflict.
CREATE TABLE threadline_entry (
    audit_id        UUID   NOT NULL PRIMARY KEY,
    occurred_at     BIGINT NOT NULL,
    ingested_at     BIGINT NOT NULL,
    position        TEXT NOT NULL,
    content_hash    TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    action          TEXT NOT NULL,
    category        TEXT NOT NULL,
    crud            TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    ip              TEXT NOT NULL,
    ip_key          TEXT NOT NULL,
    session_id      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    correlation_id  TEXT NOT NULL,
    auth_method     TEXT NOT NULL,
    -- What is only shown and never searched by itself: user agent, labels, impersonator, targets, metadata. Text, because
    -- JSONB can't hold what a client may have sent (U+0000).
    detail          TEXT NOT NULL
);
-- Each ends in the order of a timeline, so that a page is a range of it.
CREATE INDEX threadline_entry_time ON threadline_entry (occurred_at, audit_id);
CREATE INDEX threadline_entry_action ON threadline_entry (action, occurred_at, audit_id);
CREATE INDEX threadline_entry_category ON threadline_entry (category, occurred_at, audit_id);
CREATE INDEX threadline_entry_trouble ON threadline_entry (outcome, occurred_at, audit_id) WHERE outcome <> 'success';
CREATE INDEX threadline_entry_organization ON threadline_entry (organization_id, occurred_at, audit_id) WHERE organization_id <> '';
CREATE INDEX threadline_entry_session ON threadline_entry (session_id, occurred_at, audit_id) WHERE session_id <> '';
CREATE INDEX threadline_entry_request ON threadline_entry (request_id, occurred_at, audit_id) WHERE request_id <> '';
CREATE INDEX threadline_entry_correlation ON threadline_entry (correlation_id, occurred_at, audit_id) WHERE correlation_id <> '';
CREATE INDEX threadline_entry_ip ON threadline_entry (ip_key, occurred_at, audit_id) WHERE ip_key <> '';

-- One row per entry and per somebody or something it is about.
CREATE TABLE threadline_link (
    ref_type    TEXT NOT NULL,
    ref_id      TEXT NOT NULL,
    occurred_at BIGINT  NOT NULL,
    audit_id    UUID    NOT NULL,
    did         BOOLEAN NOT NULL, -- as actor or impersonator
    done        BOOLEAN NOT NULL, -- as target
    own         BOOLEAN NOT NULL, -- nobody else stood behind it: this one may know where it came from
    PRIMARY KEY (ref_type, ref_id, occurred_at, audit_id)
) WITHOUT ROWID;

-- A row that came again with other content. The entry is never overwritten.
CREATE TABLE threadline_conflict (
    audit_id     UUID   NOT NULL,
    content_hash TEXT NOT NULL,
    seen_at      BIGINT NOT NULL,
    content      TEXT NOT NULL,
    PRIMARY KEY (audit_id, content_hash)
);
CREATE INDEX threadline_conflict_seen ON threadline_conflict (seen_at, audit_id, content_hash);

-- How the projection stands: one row, written by every batch, which also makes writers take turns.
CREATE TABLE threadline_state (
    id               INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    entries          BIGINT  NOT NULL,
    duplicates       BIGINT  NOT NULL,
    conflicts        BIGINT  NOT NULL,
    last_occurred_at BIGINT  NOT NULL,
    last_ingested_at BIGINT  NOT NULL,
    position         TEXT NOT NULL
);
INSERT INTO threadline_state (id, entries, duplicates, conflicts, last_occurred_at, last_ingested_at, position) VALUES (1, 0, 0, 0, 0, 0, '');
