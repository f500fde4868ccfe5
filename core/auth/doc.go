// Package auth owns the flows: register, confirm, sign in, sign out, change and set a password, and what an
// administrator does to an account.
package auth
