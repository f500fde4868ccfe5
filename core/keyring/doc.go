// Package keyring encrypts what the database must not hold in clear, and lets the keys change.
//
//	root key      32 bytes from the configuration, or data_dir/root.key (0600) made at the first start.
//	  │ wraps     It never leaves the node and is never stored in the database.
//	  ▼
//	data keys     rows of keyring_key: one active "seal" key, any number of retired ones, one "mac" key.
//	  │ seal
//	  ▼
//	sealed value  version 0x01 │ id of the data key, 16 │ nonce, 24 │ ciphertext │ tag, 16
//
// A data key's life:
//
//	Rotate ──▶ active ──next Rotate──▶ retired        (kept: it still opens what it sealed)
//
// Rotation makes a new active key in one transaction, together with whatever its caller records there. Values sealed
// before stay readable; Open calls them stale, and Reseal encrypts them again in small batches. It keeps no
// progress: what is fresh already is skipped, so that it can be killed at any point and started again. A node
// that meets a key id it doesn't know reads the table again, since another node has rotated; Run does so
// regularly.
//
// To change the root key, on every node: first add the new key to old_root_keys and restart; then swap the two and
// restart, whereupon the first node wraps all data keys anew; then drop the old one.
//
// The algorithm is XChaCha20-Poly1305 with random nonces. The purpose ("totp", "plugin.relyra/idp") is authenticated with
// the value, so that a value moved to another place does not open there.
//
// A lost root key is a lost database: whenever keys exist that the root key at hand doesn't unwrap, Open fails
// and says what to do. A new root key is made only where no data key exists.
//
// MAC keys are derived from the "mac" key, which rotation leaves alone: what was hashed must hash the same tomorrow.
//
// The package refuses to sign tokens (that is the token issuer's) and to delete keys.
package keyring
