-- +goose Up
CREATE TABLE ratelimit_failure (
    key       BYTEA PRIMARY KEY,  -- SHA-256 of the limit's name and what it counts: no addresses lie here
    failures  BYTEA NOT NULL,     -- when each was, the newest last: microseconds since 1970 in 8 bytes, big-endian
    forget_at BIGINT NOT NULL     -- when none of them counts any more, microseconds since 1970
);

CREATE INDEX ratelimit_failure_forget_at ON ratelimit_failure (forget_at);

CREATE TABLE ratelimit_spent (
    id         BYTEA PRIMARY KEY, -- SHA-256 of a proof's kind and of what was proved
    expires_at BIGINT NOT NULL    -- when no node takes the proof any more, microseconds since 1970
);

CREATE INDEX ratelimit_spent_expires_at ON ratelimit_spent (expires_at);

-- +goose Down
DROP TABLE ratelimit_spent;
DROP TABLE ratelimit_failure;
