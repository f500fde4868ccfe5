package account

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// The lengths of a username, in characters.
const (
	MinUsername = 3
	MaxUsername = 32
)

// Username is a second name to sign in with, beside the address.
type Username struct {
	Display string // as it was typed, which is how people see it
	Key     string // as it is compared: no two live accounts share one
}

// ErrUsernameTaken says that a live account has the username. Unlike an address, that can't be kept from who asks for it.
var ErrUsernameTaken = fault.New(fault.Conflict, "username_taken", "This username is taken.").At("username")

var (
	errUsername         = fault.New(fault.Invalid, "invalid_username", "A username has 3 to 32 letters and digits of one script, with single dots, hyphens and underscores between them.").At("username")
	errUsernameReserved = fault.New(fault.Invalid, "username_reserved", "This username can't be chosen.").At("username")
)

// ParseUsername gives both forms of a username:
//
//  1. It is enforced by PRECIS UsernameCasePreserved for people and UsernameCaseMapped for comparing (RFC 8265 §3.3, §3.4): full-width
//     characters become the usual ones, NFC, the Bidi rule, no spaces, no compatibility characters, and lower case. What lower
//     case leaves apart is folded besides (ß and ss, the two small sigmas), for it looks the same in capitals.
//  2. It has MinUsername to MaxUsername characters: letters, their marks and digits, with single . _ - between two of them. So
//     there is no @ in it: nothing is both a username and an address.
//  3. Its letters and digits are of one script (and the marks that go with any), but for the scripts that Japanese, Korean and
//     Chinese mix: "pаypal" with a Cyrillic а is nobody's name (UTS 39 §5.2, highly restrictive, less Latin beside others).
//  4. It can't be read as an account's id.
func ParseUsername(s string) (Username, error) {
	if len(s) > 4*utf8.UTFMax*MaxUsername || !utf8.ValidString(s) {
		return Username{}, errUsername
	}
	s = strings.TrimSpace(s)
	display, err := precis.UsernameCasePreserved.String(s)
	if err != nil {
		return Username{}, errUsername
	}
	key, err := usernameKey(display)
	if err != nil || !wellFormed(display) || !wellFormed(key) {
		return Username{}, errUsername
	}
	// Each form must be a fixed point, or what somebody types back from a page would be another name (RFC 8264 §7).
	if again, err := precis.UsernameCasePreserved.String(display); err != nil || again != display {
		return Username{}, errUsername
	}
	if again, err := usernameKey(key); err != nil || again != key {
		return Username{}, errUsername
	}
	if _, err := uuid.Parse(key); err == nil {
		return Username{}, errUsername
	}
	return Username{Display: display, Key: key}, nil
}

func usernameKey(display string) (string, error) {
	lower, err := precis.UsernameCaseMapped.String(display)
	if err != nil {
		return "", err
	}
	return norm.NFC.String(cases.Fold().String(lower)), nil
}

func wellFormed(s string) bool {
	if n := utf8.RuneCountInString(s); n < MinUsername || n > MaxUsername {
		return false
	}
	between := false // what came before is a letter, a mark or a digit
	for _, r := range s {
		switch {
		case unicode.IsLetter(r), unicode.Is(unicode.Nd, r), unicode.IsMark(r) && between:
			between = true
		case strings.ContainsRune("._-", r) && between:
			between = false
		default:
			return false
		}
	}
	return between && oneScript(s)
}

// mixed are the scripts that are written together.
var mixed = [][]*unicode.RangeTable{
	{unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Han, unicode.Bopomofo},
	{unicode.Han, unicode.Hangul},
}

func oneScript(s string) bool {
	var seen []*unicode.RangeTable
	for _, r := range s {
		if r < utf8.RuneSelf && !unicode.IsLetter(r) || unicode.In(r, unicode.Common, unicode.Inherited) || unicode.In(r, seen...) {
			continue
		}
		t := scriptOf(r)
		if t == nil {
			return false
		}
		seen = append(seen, t)
	}
	if len(seen) <= 1 {
		return true
	}
	return slices.ContainsFunc(mixed, func(m []*unicode.RangeTable) bool {
		return !slices.ContainsFunc(seen, func(t *unicode.RangeTable) bool { return !slices.Contains(m, t) })
	})
}

func scriptOf(r rune) *unicode.RangeTable {
	for _, t := range unicode.Scripts {
		if unicode.Is(t, r) {
			return t
		}
	}
	return nil
}

// Chosen refuses names that people take for the service's own or for its staff's. Only an administrator gives them.
func (u Username) Chosen() error {
	if slices.Contains(reservedUsernames, plainer.Replace(u.Key)) {
		return errUsernameReserved
	}
	return nil
}

// plainer takes out what would make a reserved name another one.
var plainer = strings.NewReplacer(".", "", "_", "", "-", "")

var reservedUsernames = []string{
	"abuse", "account", "accounts", "admin", "administrator", "administrators", "admins", "all", "anonymous", "api", "auth", "billing", "contact", "everyone",
	"guest", "help", "helpdesk", "hostmaster", "info", "login", "logout", "mail", "mailerdaemon", "moderator", "myself", "nobody", "noreply", "null", "official",
	"operator", "owner", "postmaster", "privacy", "register", "root", "sales", "security", "self", "service", "settings", "sigra", "signin", "signup", "staff",
	"superuser", "support", "sysadmin", "system", "test", "undefined", "unknown", "user", "username", "webmaster",
}
