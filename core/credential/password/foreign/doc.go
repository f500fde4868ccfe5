// Package foreign verifies password hashes that other systems made.
//
//	Parse ─▶ Cost ─▶ Limits.Check ─▶ (the caller's admission) ─▶ Verify
//
// It owns the forms, one file for each family, and what each costs:
//
//	argon2      $argon2id$ $argon2i$ (RFC 9106, v=19)
//	bcrypt      $2a$ $2b$ $2y$, Passlib's $bcrypt-sha256$
//	wordpress   $wp$2y$ (6.8 and later; older ones are phpass)
//	scrypt      $scrypt$ln=…,r=…,p=…$ (PHC, Passlib)
//	firebase    $firescrypt$ and $fbscrypt$, with the project's parameters
//	pbkdf2      $pbkdf2…$ with SHA-1, SHA-256, SHA-384, SHA-512 (PHC, Passlib)
//	shacrypt    $5$ $6$                  md5crypt   $1$ $apr1$
//	phpass      $P$ $H$                  drupal     $S$ U$S$
//	ldap        {SHA} {SSHA} {SHA256} … {MD5} {SMD5} {CRYPT} {PBKDF2…}
//	django      pbkdf2_sha256$ pbkdf2_sha1$ argon2$ bcrypt$ bcrypt_sha256$ scrypt$ md5$ sha1$
//	werkzeug    scrypt: pbkdf2:
//	aspnet      base64 as ASP.NET Identity 2 and 3 keep it
//	digest      $raw-md5$ … $hmac-sha256$ …: Sigra's own marks for bare digests, which an import writes
//
// A password is given to these as it was typed, byte by byte: they know nothing of Unicode normalization.
//
// Costs are counted in work and memory from the parameters alone, before anything is computed, so that a hash made to stop
// the server is refused and not tried. The figures are those of BenchmarkCost. Where the work grows with the length of the
// password too (crypt(3) and its kin), Cost takes that length, and whoever types a password of a thousand characters has it
// counted.
//
// The package refuses to make hashes, to run any that its caller did not hold against limits, to know where hashes are
// kept, and to verify what is too weak or broken to be worth it: DES, $2x$, argon2d, digests without a mark.
package foreign
