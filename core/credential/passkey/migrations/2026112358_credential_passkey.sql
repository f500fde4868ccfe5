-- +goose Up
-- What authenticators know an account by. It outlives the account's last passkey: a new one then replaces what the
-- device still has, instead of standing beside it.
CREATE TABLE credential_passkey_user (
    account_id UUID        NOT NULL PRIMARY KEY REFERENCES account (id),
    handle     BYTEA       NOT NULL UNIQUE CHECK (length(handle) BETWEEN 1 AND 64),
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE credential_passkey (
    id              UUID        NOT NULL PRIMARY KEY,
    account_id      UUID        NOT NULL REFERENCES credential_passkey_user (account_id),
    credential_id   BYTEA       NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key      BYTEA       NOT NULL, -- COSE_Key
    name            TEXT        NOT NULL,
    aaguid          UUID        NOT NULL, -- the authenticator's model as it says itself; all zero: not said
    attestation     TEXT        NOT NULL, -- statement format
    transports      TEXT        NOT NULL, -- separated by spaces
    attachment      TEXT        NOT NULL, -- platform, cross-platform or empty
    discoverable    BOOLEAN     NOT NULL, -- can sign in without a name being typed
    uv_initialized  BOOLEAN     NOT NULL, -- its user verification may be relied upon
    backup_eligible BOOLEAN     NOT NULL, -- never changes
    backed_up       BOOLEAN     NOT NULL,
    sign_count      BIGINT      NOT NULL CHECK (sign_count BETWEEN 0 AND 4294967295),
    created_at      TIMESTAMPTZ NOT NULL,
    last_used_at    TIMESTAMPTZ
);

CREATE INDEX credential_passkey_account ON credential_passkey (account_id, created_at, id);

-- Challenges are not in here: each is computed from the token, of which there is only the hash.
CREATE TABLE credential_passkey_ceremony (
    id          UUID        NOT NULL PRIMARY KEY,
    token_hash  BYTEA       NOT NULL UNIQUE, -- SHA-256
    purpose     TEXT        NOT NULL,
    account_id  UUID,                        -- NULL: whoever the passkey says
    require_uv  BOOLEAN     NOT NULL,
    trust_uv    BOOLEAN     NOT NULL,
    conditional BOOLEAN     NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL,
    spent_at    TIMESTAMPTZ
);

CREATE INDEX credential_passkey_ceremony_account ON credential_passkey_ceremony (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX credential_passkey_ceremony_expiry ON credential_passkey_ceremony (expires_at);
