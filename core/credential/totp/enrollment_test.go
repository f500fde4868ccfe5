package totp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// What people and their services are called reaches the app whole, by the URI and by the picture.
func TestEnrollment_namesAndPicture(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, store.SQLite, sources...), keyring.NewRoot(), nil)
	id := w.account()
	long := strings.Repeat("ü", 300)
	for _, c := range []struct{ account, issuer, wantAccount, wantIssuer string }{
		{"ada@example.org", "Sigra", "ada@example.org", "Sigra"},
		{"ada+x&y=z?#%41@example.org", "A&B / C? 100%", "ada+x&y=z?#%41@example.org", "A&B / C? 100%"},
		{`"a:b"@example.org`, "Acme: Sign in", `"a b"@example.org`, "Acme Sign in"},
		{"Ådne@bücher.example", "登録", "Ådne@bücher.example", "登録"},
		{"ada\r\n\x00\u202e@example.org\xff", " \t Sigra\u2028", "ada @example.org", "Sigra"},
		{long, long, strings.Repeat("ü", 127), strings.Repeat("ü", 32)},
	} {
		var e totp.Enrollment
		w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
			e, err = w.Enroll(ctx, tx, id, c.account, c.issuer)
			return err
		})
		u, err := url.Parse(e.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/"+c.wantIssuer+":"+c.wantAccount || q.Get("issuer") != c.wantIssuer ||
			q.Get("secret") != e.Secret.Reveal() || q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" {
			t.Errorf("%q at %q became %s", c.account, c.issuer, e.URI.Reveal())
		}
		if strings.Contains(e.URI.Reveal(), "+") {
			t.Errorf("a plus, which some apps show and some take for a space: %s", e.URI.Reveal())
		}
		b, err := e.PNG()
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got := readQR(t, img); got != e.URI.Reveal() {
			t.Errorf("the picture says %s, not %s", got, e.URI.Reveal())
		}
		quiet(t, img)
	}
	for _, c := range [][2]string{{"", "Sigra"}, {"ada@example.org", ""}, {" :\n", "Sigra"}, {"ada@example.org", "\x00"}} {
		err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := w.Enroll(ctx, tx, id, c[0], c[1]); return err })
		if err == nil {
			t.Errorf("enrolled %q at %q: nobody could tell it from others", c[0], c[1])
		}
	}
}

func readQR(t *testing.T, img image.Image) string {
	t.Helper()
	bmp, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	// As it is drawn, without looking for it as in a photograph: the reader's search misses one dense code in a hundred.
	res, err := qrcode.NewQRCodeReader().Decode(bmp, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetText()
}

// quiet wants white all around, without which phones don't find the code on a dark page.
func quiet(t *testing.T, img image.Image) {
	t.Helper()
	const zone = 4 * 6
	b := img.Bounds()
	for i := range b.Dx() {
		for j := range zone {
			for _, p := range []image.Point{{i, j}, {j, i}, {i, b.Dy() - 1 - j}, {b.Dx() - 1 - j, i}} {
				if color.GrayModel.Convert(img.At(p.X, p.Y)).(color.Gray).Y != 255 {
					t.Fatalf("%v is not white", p)
				}
			}
		}
	}
}

func TestEnrollment_isNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, store.SQLite, sources...), keyring.NewRoot(), nil)
	e, err := w.enroll(w.account())
	if err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(e), fmt.Sprintf("%+v %#v %s %q", e, e, e, []any{&e, struct{ e totp.Enrollment }{e}}), string(j)} {
		if strings.Contains(s, e.Secret.Reveal()) || strings.Contains(s, "otpauth") {
			t.Errorf("printed: %s", s)
		}
	}
}
