// Package webhook verifies webhooks that others send, and signs those of our own.
//
// A request is its headers and the exact bytes of its body: nothing is parsed before its signature was found to be right, but
// where the signature itself lies in the body. Every refusal is a *Rejection with one of the reasons below. Comparisons with what a
// secret makes take the same time whatever is compared.
//
// Standard Webhooks (github.com/standard-webhooks/standard-webhooks) are here whole, for receivers and senders. Of the schemes of
// single providers only what they have in common is: a strict timestamp, its tolerance in both directions, HMAC-SHA256 with
// several keys. Case reads recorded requests, for commands that judge them without a server, and for tests.
//
// The package keeps nothing: whether a message came before is for the receiver to know, by the id that it is given.
package webhook
