package ratelimit

// Class says what a request costs, and so which buckets of its address it draws from: every class but Exempt draws from General's
// bucket, and then from its own.
type Class string

// The classes. Each operation and each page declares one, see core/endpoint.
const (
	General Class = "general" // nothing particular
	Guess   Class = "guess"   // tries something that could be guessed: a code, a number, a factor
	Mail    Class = "mail"    // has an email sent
	Hash    Class = "hash"    // tries or sets a password, which costs a hash
	Check   Class = "check"   // tells who is signed in: counts against the address where it tells of nobody, and never where an application's key comes with it
	Exempt  Class = "exempt"  // costs nothing and is always answered: probes and assets
)

// Known reports whether there is such a class.
func (c Class) Known() bool {
	switch c {
	case General, Guess, Mail, Hash, Check, Exempt:
		return true
	}
	return false
}
