package passkey_test

import (
	"testing"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
)

// The words of these tests for what passkeytest makes.
type (
	device = passkeytest.Authenticator
	key    = passkeytest.Key
)

const (
	es256 = passkeytest.ES256
	eddsa = passkeytest.EdDSA
	rs256 = passkeytest.RS256
)

var b64 = passkeytest.Encoding

func newDevice(t testing.TB) *device   { return passkeytest.New(t, origin) }
func securityKey(t testing.TB) *device { return passkeytest.SecurityKey(t, origin) }
