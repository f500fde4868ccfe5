package ratelimit

import "github.com/sigra-auth/sigra/core/part"

// Schema says what the package keeps. Keys are hashes of what can be guessed, such as an address, so whoever has the table can
// look somebody up.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"ratelimit_bucket", "ratelimit_failure"}, Impersonal: []string{"ratelimit_spent"}}
}
