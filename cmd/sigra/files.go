package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	netmail "net/mail"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/mail"
)

// lockDataDir makes sure that one server at a time uses a data_dir. The lock goes with the process, however it ends.
func lockDataDir(dataDir string) (release func(), err error) {
	if err := makeDataDir(dataDir); err != nil {
		return nil, err
	}
	path := filepath.Join(dataDir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another Sigra is using data_dir %s; stop it, or give this one a data_dir of its own", dataDir)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// makeDataDir makes the folder, or sees to it that a folder that was there is not one in which everybody may put their
// own root key or database in place of Sigra's.
func makeDataDir(dataDir string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	fi, err := os.Stat(dataDir)
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	if mode := fi.Mode().Perm(); mode&0o002 != 0 {
		if err := os.Chmod(dataDir, mode&^0o022); err != nil {
			return fmt.Errorf("data_dir %s can be written by everybody (mode %04o), and that can't be changed: run chmod 700 on it, or use a folder inside it: %w", dataDir, mode, err)
		}
	}
	return nil
}

// writeNew writes a file that must not be there yet. It appears whole or not at all.
func writeNew(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

func randomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

func nameRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
		return r
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	}
	return '-'
}

// parseFrom reads mail.from, which the configuration has checked.
func parseFrom(m config.Mail) (mail.Address, error) {
	a, err := netmail.ParseAddress(m.From)
	if err != nil {
		return mail.Address{}, fmt.Errorf("mail.from: %w", err)
	}
	return mail.Address{Address: a.Address, Name: a.Name}, nil
}
