package relay

import "github.com/sigra-auth/sigra/core/part"

// Schema says what the package keeps. Dead letters name rows and say why a sink refused them; what they are about stands in the rows.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"relay_cursor", "relay_dead_letter"}}
}
