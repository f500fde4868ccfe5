-- +goose Up
CREATE TABLE onetime (
    id         UUID        NOT NULL PRIMARY KEY,
    purpose    TEXT        NOT NULL,
    account_id UUID,                       -- NULL: a decoy
    link_hash  BYTEA       NOT NULL,       -- SHA-256 of the link's secret
    flow_hash  BYTEA,                      -- SHA-256 of the flow token
    code_mac   BYTEA,                      -- HMAC-SHA-256(flow token, code)
    payload    BYTEA,                      -- sealed
    attempts   INTEGER     NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    spent_at   TIMESTAMPTZ
);

CREATE UNIQUE INDEX onetime_link ON onetime (link_hash);
CREATE UNIQUE INDEX onetime_flow ON onetime (flow_hash) WHERE flow_hash IS NOT NULL;
CREATE INDEX onetime_account ON onetime (account_id, purpose) WHERE account_id IS NOT NULL;
CREATE INDEX onetime_expiry ON onetime (expires_at);
