package totp

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/boombuler/barcode/qr"

	"github.com/sigra-auth/sigra/core/secret"
)

// encoding is how a secret is written for apps and for people.
var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Names longer than this would make a picture that phones read badly.
const (
	maxIssuer = 64  // bytes
	maxName   = 254 // bytes: the longest address there is
)

// Enrollment is a secret on its way to an app.
type Enrollment struct {
	Secret secret.Text // base32, to be typed
	URI    secret.Text // otpauth://totp/…, to be opened or scanned
}

// newEnrollment writes a secret in the forms that apps take. The URI format has no standard; this is what apps have in
// common, with the issuer both as a prefix of the label and as a parameter.
func newEnrollment(raw []byte, accountName, issuer string) (Enrollment, error) {
	name, issuer := label(accountName, maxName), label(issuer, maxIssuer)
	if name == "" || issuer == "" {
		return Enrollment{}, errors.New("an authenticator app needs an account name and an issuer to show")
	}
	key := encoding.EncodeToString(raw)
	// Not the library's Generate: it leaves & and + in an issuer as they are, and "Rock & Roll" becomes "Rock ".
	uri := fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		escape(issuer), escape(name), key, escape(issuer), Digits, int(Period.Seconds()))
	return Enrollment{Secret: secret.New(key), URI: secret.New(uri)}, nil
}

// escape is right in a path and in a query, and for apps that take a plus as it is.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// label makes a name fit to be shown: valid UTF-8 on one line, no colon (it divides issuer and name), cut to limit.
func label(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == ':', unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r), r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// The picture's measures.
const (
	modulePixels = 6
	quietZone    = 4 // modules of white around it (ISO/IEC 18004 §6.3.8)
)

// PNG draws the URI as a QR code. It holds the secret: never log it, never let it be cached.
func (e Enrollment) PNG() ([]byte, error) {
	code, err := qr.Encode(e.URI.Reveal(), qr.M, qr.Auto)
	if err != nil {
		return nil, errors.New("the otpauth URI does not fit a QR code") // err repeats the URI
	}
	size := code.Bounds().Dx()
	side := (size + 2*quietZone) * modulePixels
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range size * modulePixels {
		for x := range size * modulePixels {
			if r, _, _, _ := code.At(x/modulePixels, y/modulePixels).RGBA(); r == 0 {
				img.SetColorIndex(x+quietZone*modulePixels, y+quietZone*modulePixels, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	return b.Bytes(), nil
}
