-- +goose Up
ALTER TABLE account ADD COLUMN display TEXT; -- what people call its person; NULL without one, and once deleted
