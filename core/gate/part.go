package gate

import "github.com/sigra-auth/sigra/core/part"

// Schema says what the package keeps: which attempts gates are still to be told of, not who made them.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"gate_attempt"}}
}
