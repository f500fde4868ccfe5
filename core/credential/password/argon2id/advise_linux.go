//go:build !argon2_library

package argon2id

import "golang.org/x/sys/unix"

// advise asks for huge pages, because a hash goes all over its memory, and keeps what comes of passwords out of core dumps.
// Neither is needed for the right result.
func advise(b []byte) {
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
}
