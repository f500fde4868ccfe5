package passkey

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// MaxName is how many characters a passkey's name may have.
const MaxName = 64

var errName = fault.Newf(fault.Invalid, "passkey_name", "A passkey's name has 1 to %d characters.", MaxName).At("name")

// cleanName makes one line of what somebody typed, without what can't be seen: control characters, and marks that turn
// the direction of the text around them.
func cleanName(name string) (string, error) {
	if len(name) > 16*MaxName || !utf8.ValidString(name) {
		return "", errName
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == '\ufeff':
			return -1
		}
		return r
	}, norm.NFC.String(name))
	name = strings.Join(strings.Fields(name), " ")
	if n := utf8.RuneCountInString(name); n < 1 || n > MaxName || !strings.ContainsFunc(name, unicode.IsGraphic) {
		return "", errName
	}
	return name, nil
}

//go:embed aaguid.txt
var aaguids string

// models reads the embedded table at its first use.
var models = sync.OnceValue(func() map[uuid.UUID]string {
	m := map[uuid.UUID]string{}
	for line := range strings.Lines(aaguids) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		m[uuid.MustParse(id)] = strings.TrimSpace(name)
	}
	return m
})

// ModelName is the name of an authenticator model or password manager by its AAGUID; empty when it is not known. It is for
// people to read and proves nothing.
func ModelName(aaguid uuid.UUID) string { return models()[aaguid] }

// defaultName is what a passkey is called until its owner calls it something else.
func defaultName(reg Registration) string {
	if name := ModelName(reg.AAGUID); name != "" {
		return name
	}
	has := func(t ...string) bool {
		return slices.ContainsFunc(reg.Transports, func(r string) bool { return slices.Contains(t, r) })
	}
	switch {
	case has("internal") || reg.Attachment == "platform":
		return "Passkey on a device"
	case has("hybrid"):
		return "Phone or tablet"
	case has("usb", "nfc", "ble", "smart-card"):
		return "Security key"
	}
	return "Passkey"
}
