-- +goose Up
CREATE INDEX mailglass_message_recipient ON mailglass_message (recipient, updated_at);

-- +goose Down
DROP INDEX mailglass_message_recipient;
