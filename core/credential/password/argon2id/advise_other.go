//go:build !linux

package argon2id

func advise([]byte) {}
