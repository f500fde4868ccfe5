-- +goose Up
CREATE TABLE seat (
    customer TEXT        NOT NULL PRIMARY KEY,
    seats    INTEGER     NOT NULL,
    since    TIMESTAMPTZ NOT NULL
);
