package totp

import (
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/keyring"
)

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = keyring.Column{
	Name:    "credential_totp.secret",
	Select:  `SELECT account_id, secret FROM credential_totp WHERE account_id > $1 ORDER BY account_id LIMIT $2`,
	Update:  `UPDATE credential_totp SET secret = $3 WHERE account_id = $1 AND secret = $2`,
	Purpose: sealPurpose,
}

// sealPurpose ties a sealed secret to its account: whoever can write the table can't give an account the secret of another.
func sealPurpose(accountID uuid.UUID) string { return "credential_totp.secret/" + accountID.String() }
