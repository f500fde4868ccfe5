//go:build !argon2_library

// Empty: a Go function without a body, which fill.go has, is only allowed beside an assembly file.
