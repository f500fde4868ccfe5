// Package secret has the one type that passwords, keys and tokens travel in between configuration and use.
//
// A Text prints as [redacted] whatever it is printed with: fmt in every verb (also as an unexported field of a
// struct, where fmt can't call methods and would show a plain string), encoding/json, slog, hclog. The value comes
// out by Reveal alone, so that every use of a secret can be found by searching for that word.
//
// The package refuses to read secrets from anywhere and promises nothing about wiping memory: Go copies.
package secret
