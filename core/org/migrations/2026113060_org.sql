-- +goose Up
CREATE TABLE organization (
    id                    UUID        NOT NULL PRIMARY KEY,
    slug                  TEXT        NOT NULL UNIQUE,
    name                  TEXT        NOT NULL,
    name_key              BYTEA       NOT NULL,              -- case-folded, for sorting and searching: bytes sort alike in both databases
    require_second_factor BOOLEAN     NOT NULL DEFAULT FALSE,
    sign_in_methods       TEXT        NOT NULL DEFAULT '',   -- org.Method names, separated by spaces; empty: any
    public_metadata       TEXT        NOT NULL DEFAULT '{}', -- a JSON object
    members               BIGINT      NOT NULL DEFAULT 0,    -- kept in step with membership, under this row's lock
    owners                BIGINT      NOT NULL DEFAULT 0,    -- active ones
    created_at            TIMESTAMPTZ NOT NULL,
    updated_at            TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX organization_name ON organization (name_key, id);

CREATE TABLE membership (
    id              UUID        NOT NULL PRIMARY KEY,
    organization_id UUID        NOT NULL REFERENCES organization (id),
    account_id      UUID        NOT NULL REFERENCES account (id),
    role            TEXT        NOT NULL,
    kind            TEXT        NOT NULL CHECK (kind IN ('member', 'guest', 'service_account')),
    status          TEXT        NOT NULL CHECK (status IN ('active', 'suspended')),
    owner           BOOLEAN     NOT NULL,
    via             TEXT        NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    last_active_at  TIMESTAMPTZ
);

-- One membership per person and organization; every session check joins on it.
CREATE UNIQUE INDEX membership_account ON membership (account_id, organization_id);
CREATE UNIQUE INDEX membership_organization ON membership (organization_id, id);
CREATE INDEX membership_owner ON membership (organization_id, id) WHERE owner;

CREATE TABLE invitation (
    id              UUID        NOT NULL PRIMARY KEY,
    organization_id UUID        NOT NULL REFERENCES organization (id),
    email           TEXT        NOT NULL,                    -- in the form of account.ParseEmail
    role            TEXT        NOT NULL,
    kind            TEXT        NOT NULL CHECK (kind IN ('member', 'guest')),
    token_hash      BYTEA       NOT NULL,                    -- SHA-256 of the link's 32 random bytes
    invited_by      UUID,                                    -- an account; NULL: whoever runs the installation
    created_at      TIMESTAMPTZ NOT NULL,
    sent_at         TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX invitation_token ON invitation (token_hash);
CREATE UNIQUE INDEX invitation_address ON invitation (organization_id, email);
CREATE UNIQUE INDEX invitation_organization ON invitation (organization_id, id);
CREATE INDEX invitation_email ON invitation (email);
CREATE INDEX invitation_expiry ON invitation (expires_at);

CREATE TABLE organization_domain (
    organization_id UUID        NOT NULL REFERENCES organization (id),
    domain          TEXT        NOT NULL,                    -- ASCII, lower case
    challenge       TEXT        NOT NULL,                    -- what the TXT record must hold
    created_at      TIMESTAMPTZ NOT NULL,
    verified_at     TIMESTAMPTZ,
    PRIMARY KEY (organization_id, domain)
);

-- Anybody may claim a domain; one organization has proven it.
CREATE UNIQUE INDEX organization_domain_verified ON organization_domain (domain) WHERE verified_at IS NOT NULL;
