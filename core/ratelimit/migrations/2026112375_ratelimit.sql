-- +goose Up
CREATE TABLE ratelimit_bucket (
    key      BYTEA PRIMARY KEY,  -- SHA-256 of the bucket's name and what it counts: no addresses lie here
    empty_at BIGINT NOT NULL     -- when all that was put in has leaked out, microseconds since 1970: reckoned with by one SQL text on both databases
);

CREATE INDEX ratelimit_bucket_empty_at ON ratelimit_bucket (empty_at);

-- +goose Down
DROP TABLE ratelimit_bucket;
