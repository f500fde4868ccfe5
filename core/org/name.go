package org

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// Lengths, in characters.
const (
	MaxName = 100
	MinSlug = 2
	MaxSlug = 48
	MaxRole = 64
)

// DefaultRole is what a member is when nobody says otherwise.
const DefaultRole = "member"

var (
	errName = fault.Newf(fault.Invalid, "invalid_name", "A name has 1 to %d characters, without line breaks.", MaxName).At("name")
	errSlug = fault.Newf(fault.Invalid, "invalid_slug", "A slug has %d to %d lowercase letters and digits, with single hyphens between them.", MinSlug, MaxSlug).At("slug")
	errRole = fault.Newf(fault.Invalid, "invalid_role", "A role has 1 to %d letters, digits and . _ : / -", MaxRole).At("role")

	slugForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	roleForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]*$`)
)

// reservedSlugs are words that addresses below /organizations may need.
var reservedSlugs = []string{"accept", "account", "admin", "api", "create", "edit", "invitation", "invitations", "leave", "new", "none", "personal", "search", "settings", "switch"}

// ParseName gives the form in which a name is stored. Unlike a slug it names nothing: many organizations may share one.
func ParseName(s string) (string, error) {
	if len(s) > 4*utf8.UTFMax*MaxName || !utf8.ValidString(s) {
		return "", errName
	}
	s = norm.NFC.String(strings.Join(strings.Fields(s), " "))
	if s == "" || utf8.RuneCountInString(s) > MaxName || strings.ContainsFunc(s, hidden) {
		return "", errName
	}
	return s, nil
}

// hidden are characters that show nothing, or change how what follows is shown.
func hidden(r rune) bool { return unicode.Is(unicode.C, r) }

// nameKey is how names are sorted and searched.
func nameKey(name string) []byte { return []byte(cases.Fold().String(norm.NFKC.String(name))) }

// ParseSlug checks a slug, in lower case.
func ParseSlug(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	switch {
	case len(s) < MinSlug || len(s) > MaxSlug || !slugForm.MatchString(s):
		return "", errSlug
	case slices.Contains(reservedSlugs, s), len(s) == 36 && strings.Count(s, "-") == 4: // reads like an id
		return "", fault.New(fault.Invalid, "slug_reserved", "This slug can't be used.").At("slug")
	}
	return s, nil
}

// SlugOf makes a slug from a name: its ASCII letters and digits. Taken says that the plain one was taken.
func SlugOf(name string, taken bool) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.IsMark(r), r == '\'', r == '’':
		default:
			b.WriteByte('-')
		}
	}
	s := strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == '-' }), "-")
	s = strings.Trim(s[:min(len(s), MaxSlug-9)], "-")
	if _, err := ParseSlug(s); err == nil && !taken {
		return s
	}
	if s == "" {
		s = "org"
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return s + "-" + hex.EncodeToString(random[:])
}

// ParseRole checks a role. An empty one is DefaultRole.
func ParseRole(s string) (string, error) {
	if s = strings.TrimSpace(s); s == "" {
		return DefaultRole, nil
	}
	if len(s) > MaxRole || !roleForm.MatchString(s) {
		return "", errRole
	}
	return s, nil
}

func parseKind(k Kind, but ...Kind) (Kind, error) {
	if k == "" {
		return Member, nil
	}
	if !slices.Contains(Kinds, k) || slices.Contains(but, k) {
		return "", fault.New(fault.Invalid, "invalid_kind", "A member's kind is member, guest or service_account; only the first two can be invited.").At("kind")
	}
	return k, nil
}
