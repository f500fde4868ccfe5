// Package administration owns what an administrator does to accounts: make one, send its owner a link to set a password, disable and
// enable it, reset its factors, lift its pauses, give it a username, change its metadata, end its sessions, delete it.
//
// Nobody ever sets or sees somebody else's password or factors (ASVS 5.0 6.4.6): the owner gets a one-time link. Every change
// is one transaction with its audit row, in which the account's row is locked.
//
// Check and Guard say what an administrator must have shown, before the work and again in its transactions. The package refuses to
// decide who is an administrator: the account's row says so.
package administration
