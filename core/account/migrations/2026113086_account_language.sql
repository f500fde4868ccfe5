-- +goose Up
-- BCP 47: in which the person last signed in. Mail that no request of theirs causes is written in it.
ALTER TABLE account ADD COLUMN language TEXT;
