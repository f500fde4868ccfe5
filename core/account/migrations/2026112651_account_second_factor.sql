-- +goose Up
-- Whether another factor is asked after the first: kept here, where every sign-in looks anyway.
ALTER TABLE account ADD COLUMN second_factor BOOLEAN NOT NULL DEFAULT FALSE;
