package scaffold

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// module is Sigra's own.
const module = "github.com/sigra-auth/sigra"

// FindCheckout looks for Sigra's source in dir and the folders above it.
func FindCheckout(dir string) (string, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	for {
		if IsCheckout(dir) {
			return dir, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// IsCheckout reports whether Sigra's source lies in dir.
func IsCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(text), "module "+module+"\n")
}

// requirements are the modules that Sigra itself is built with. A module that builds against the checkout, and may have
// no network, takes the same versions; `go mod tidy` leaves only those it needs.
func requirements(checkout string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		return nil, err
	}
	var out []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "//")
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
		case line == ")":
			inside = false
		case inside && line != "":
			out = append(out, line)
		case strings.HasPrefix(line, "require "):
			out = append(out, strings.TrimPrefix(line, "require "))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s/go.mod requires nothing: is it Sigra's source?", checkout)
	}
	return out, nil
}
