// Package passkeytest is a browser with an authenticator, in software, for the tests of passkeys and of what stands on them. It
// answers the options of a ceremony as WebAuthn L3 says, with real keys and real signatures, and can be told to answer
// wrongly at every layer: client data, authenticator data, attestation, signature, JSON.
//
// The package refuses to judge anything, and to be anything but a test's helper: only _test files and packages for tests import it.
package passkeytest
