// Package typed reads codes that people type or paste: the code of an email or an authenticator app, a recovery code, the number on
// another screen.
//
// It is the one reader for all of them, so that every page and every operation takes the same: digits of any script
// (an Arabic or a Thai keyboard writes its own), full-width letters, and whatever spaces, dashes and invisible marks people,
// phones and mail programs put between. What is left is compared elsewhere.
//
// The package refuses to know any code: it neither guesses what was meant nor forgives a symbol that is wrong.
package typed
