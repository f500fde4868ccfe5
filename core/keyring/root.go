package keyring

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sigra-auth/sigra/core/secret"
)

// Secret is a root key as text: 32 random bytes in base64 or hex. It prints as [redacted].
type Secret = secret.Text

// RootFile is the name of the root key's file in the data folder.
const RootFile = "root.key"

const keySize = 32

// NewRoot makes a root key from the system's randomness.
func NewRoot() Secret {
	var b [keySize]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return secret.New(base64.StdEncoding.EncodeToString(b[:]))
}

// CheckRoot says what is wrong with a root key's text, without quoting it.
func CheckRoot(s Secret) error {
	_, err := parseRoot(s)
	return err
}

// root is a key that wraps data keys. Its print is safe to show: a hash, shortened.
type root struct {
	key   [keySize]byte
	print [8]byte
}

func (r *root) fingerprint() string { return hex.EncodeToString(r.print[:]) }

func newRoot(b []byte) *root {
	r := &root{}
	copy(r.key[:], b)
	sum := sha256.Sum256(append([]byte("sigra root key fingerprint v1\x00"), b...))
	copy(r.print[:], sum[:])
	return r
}

func parseRoot(s Secret) (*root, error) {
	text := strings.TrimSpace(s.Reveal())
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		b, err := decode(text)
		if err != nil || len(b) != keySize {
			continue
		}
		// Not a measure of strength, only a net for "AAAA…": a key comes from a random generator.
		if len(distinct(b)) < 8 {
			return nil, errors.New("a root key must be random; make one with: openssl rand -base64 32")
		}
		return newRoot(b), nil
	}
	return nil, errors.New("a root key is 32 random bytes in base64 or hex; make one with: openssl rand -base64 32")
}

func distinct(b []byte) map[byte]bool {
	m := map[byte]bool{}
	for _, c := range b {
		m[c] = true
	}
	return m
}

// readRootFile reads dir/root.key. The error is fs.ErrNotExist when there is none.
func readRootFile(dir string) (*root, error) {
	path := filepath.Join(dir, RootFile)
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !st.Mode().IsRegular() && st.Mode()&fs.ModeSymlink == 0:
		return nil, fmt.Errorf("%s is not a file", path)
	case st.Mode()&fs.ModeSymlink != 0:
		// Secret managers mount files as links; what counts is what lies at the end.
		if st, err = os.Stat(path); err != nil {
			return nil, err
		}
	}
	// ASVS 5.0 13.3.1: a key that other users of the machine can read is no secret.
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read or written by other users (mode %04o); run: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to user %d and Sigra runs as user %d; run: chown %d %s", path, sys.Uid, os.Geteuid(), os.Geteuid(), path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := parseRoot(secret.New(string(bytes.TrimSpace(b))))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w. Restore it from a backup; do not make a new one while the database holds sealed data", path, err)
	}
	return r, nil
}

// makeRootFile makes dir/root.key, or reads the one that another process made first.
func makeRootFile(dir string) (*root, bool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the data folder: %w", err)
	}
	// Written whole under another name and linked: the file never exists half-written, and link fails when another
	// process was quicker.
	f, err := os.CreateTemp(dir, ".root.key-*")
	if err != nil {
		return nil, false, fmt.Errorf("make the root key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(NewRoot().Reveal() + "\n")
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err != nil {
		return nil, false, fmt.Errorf("make the root key: %w", err)
	}
	err = os.Link(f.Name(), filepath.Join(dir, RootFile))
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("make the root key: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, false, fmt.Errorf("make the root key: %w", err)
	}
	r, err := readRootFile(dir)
	return r, made, err
}

// syncDir makes a new name durable: data keys must never be on disk while the root key is not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
