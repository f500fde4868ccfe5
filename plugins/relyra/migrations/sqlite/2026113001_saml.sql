-- +goose Up
-- Times are microseconds since 1970 in UTC.
CREATE TABLE relyra_connection (
    id              UUID   NOT NULL PRIMARY KEY,
    organization_id TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    status          TEXT   NOT NULL, -- draft, enabled, disabled
    config          TEXT   NOT NULL, -- JSON: what was agreed with the identity provider, and the policy
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX relyra_connection_organization ON relyra_connection (organization_id, id);

-- Our keys of a connection. The private one is sealed by the host.
CREATE TABLE relyra_key (
    id            UUID   NOT NULL PRIMARY KEY,
    connection_id UUID   NOT NULL REFERENCES relyra_connection (id) ON DELETE CASCADE,
    status        TEXT   NOT NULL, -- active
    certificate   BLOB   NOT NULL,
    sealed        BLOB   NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX relyra_key_connection ON relyra_key (connection_id, id);

-- Requests that were sent to an identity provider. One is answered once.
CREATE TABLE relyra_request (
    id            TEXT   NOT NULL PRIMARY KEY,
    connection_id UUID   NOT NULL REFERENCES relyra_connection (id) ON DELETE CASCADE,
    state         TEXT   NOT NULL, -- of the host: what binds the request to a browser
    return_to     TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    answered_at   BIGINT
);
CREATE INDEX relyra_request_expires ON relyra_request (expires_at);

-- Assertions that were taken: none is taken twice. The digest is of issuer and ID.
CREATE TABLE relyra_assertion (
    connection_id UUID   NOT NULL,
    digest        TEXT   NOT NULL,
    expires_at    BIGINT NOT NULL,
    PRIMARY KEY (connection_id, digest)
);
CREATE INDEX relyra_assertion_expires ON relyra_assertion (expires_at);

-- What became of each sign-in, for whoever has to find out what is wrong with a connection.
CREATE TABLE relyra_trace (
    id            UUID   NOT NULL PRIMARY KEY,
    connection_id UUID   NOT NULL REFERENCES relyra_connection (id) ON DELETE CASCADE,
    occurred_at   BIGINT NOT NULL,
    step          TEXT   NOT NULL, -- decode, validate, signature, replay, map, session
    gate          TEXT   NOT NULL, -- empty: nothing refused it
    detail        TEXT   NOT NULL,
    expected      TEXT   NOT NULL,
    received      TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    mint_id       TEXT   NOT NULL
);
CREATE INDEX relyra_trace_connection ON relyra_trace (connection_id, id);
CREATE INDEX relyra_trace_time ON relyra_trace (occurred_at);

