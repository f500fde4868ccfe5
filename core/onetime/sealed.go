package onetime

import (
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/keyring"
)

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = keyring.Column{
	Name:    "onetime.payload",
	Select:  `SELECT id, payload FROM onetime WHERE payload IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update:  `UPDATE onetime SET payload = $3 WHERE id = $1 AND payload = $2`,
	Purpose: func(uuid.UUID) string { return SealPurpose },
}
