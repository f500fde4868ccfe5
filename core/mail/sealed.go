package mail

import (
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/keyring"
)

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = keyring.Column{
	Name:    "mail_queue.payload",
	Select:  `SELECT id, payload FROM mail_queue WHERE payload IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update:  `UPDATE mail_queue SET payload = $3 WHERE id = $1 AND payload = $2`,
	Purpose: func(uuid.UUID) string { return SealPurpose },
}
