// Package authtest puts the real flows of core/auth together on a real database, for the tests of core/auth and of what
// stands on it. It is for tests only.
package authtest
