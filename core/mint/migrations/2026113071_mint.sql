-- +goose Up
-- What became of sign-ins that plugins vouched for.
CREATE TABLE mint (
    id                 UUID        NOT NULL PRIMARY KEY,
    plugin             TEXT        NOT NULL,
    status             TEXT        NOT NULL,
    reason             TEXT        NOT NULL DEFAULT '',
    account_id         UUID,                  -- whose, once that is known
    session_id         UUID,
    account_created    BOOLEAN     NOT NULL DEFAULT FALSE,
    membership_created BOOLEAN     NOT NULL DEFAULT FALSE,
    pending_until      TIMESTAMPTZ NOT NULL,  -- a pending one has expired then
    keep_until         TIMESTAMPTZ NOT NULL
);

CREATE INDEX mint_keep ON mint (keep_until);
CREATE INDEX mint_account ON mint (account_id) WHERE account_id IS NOT NULL;
