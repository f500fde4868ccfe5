-- +goose Up
-- Accounts that an organization's directory provides, by the directory's own ids.
CREATE TABLE directory_user (
    plugin          TEXT        NOT NULL, -- which speaks for the directory
    organization_id UUID        NOT NULL,
    external_id     TEXT        NOT NULL,
    account_id      UUID        NOT NULL,
    username        TEXT        NOT NULL, -- the directory's; not the account's
    active          BOOLEAN     NOT NULL, -- as the directory says
    made            BOOLEAN     NOT NULL, -- the account was made for it
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (plugin, organization_id, external_id)
);

-- One person is one entry of a directory.
CREATE UNIQUE INDEX directory_user_account ON directory_user (plugin, organization_id, account_id);
CREATE INDEX directory_user_person ON directory_user (account_id);
