-- +goose Up
-- By whom an event is about: for a person's export and deletion.
CREATE INDEX host_event_subject ON host_event (subject) WHERE subject <> '';
