//go:build !linux && !argon2_library

package argon2id

func advise([]byte) {}
