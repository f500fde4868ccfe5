-- +goose Up
CREATE TABLE topic (
    space   TEXT   NOT NULL, -- whose it is
    name    TEXT   NOT NULL,
    version BIGINT NOT NULL, -- grows by one with every notification
    payload TEXT   NOT NULL, -- of the last one
    PRIMARY KEY (space, name)
);
