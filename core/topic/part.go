package topic

import "github.com/sigra-auth/sigra/core/part"

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"topic"}}
}
