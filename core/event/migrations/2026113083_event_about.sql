-- +goose Up
ALTER TABLE host_event ADD COLUMN organization_id TEXT NOT NULL DEFAULT '';   -- the organization that it is about
ALTER TABLE host_event ADD COLUMN schema_name TEXT NOT NULL DEFAULT '';       -- what the data looks like
ALTER TABLE host_event ADD COLUMN version BIGINT NOT NULL DEFAULT 0;          -- of the subject
