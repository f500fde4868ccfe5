package mail

import (
	"context"
	"fmt"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"mail_queue", "mail_inbox"}, Sealed: []part.SealedColumn{Sealed}}
}

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = part.SealedColumn{
	Name:   "mail_queue.payload",
	Select: `SELECT id, payload FROM mail_queue WHERE payload IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE mail_queue SET payload = $3 WHERE id = $1 AND payload = $2`,
}

// recipient is what a row says of whom it is for: enough to find the rows of an address, and nothing without the keyring.
func (q *Queue) recipient(address string) []byte {
	return q.keys.MAC("mail_queue.recipient", []byte(address))
}

// Erase takes every message to the person out of the queue, and out of the development inbox. What the deletion itself has to tell
// them is queued after that.
func (q *Queue) Erase(ctx context.Context, tx *store.Tx, who part.Subject) error {
	if who.Email == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM mail_queue WHERE recipient = $1`, q.recipient(who.Email)); err != nil {
		return fmt.Errorf("erase mail: %w", err)
	}
	return eraseReceived(ctx, tx, who.Email)
}
