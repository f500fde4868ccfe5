-- +goose Up
CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,        -- empty: nobody
    token      BIGINT NOT NULL,      -- grows with every change of holder
    expires_at TIMESTAMPTZ NOT NULL  -- by the database's clock
);

-- +goose Down
DROP TABLE lease;
