package guard_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/plugins/mailglass/guard"
)

// verdict is one line of testdata/index.json.
type verdict struct {
	ID, File, Title, Purpose, Level, Expect string
	ReasonsAnyOf                            []string `json:"reasons_any_of"`
	Origins                                 []string
	Config                                  struct {
		Sets []string `json:"ses_tracking_configuration_sets"`
	}
}

func verdicts(t testing.TB) (out []verdict) {
	t.Helper()
	b, err := os.ReadFile("testdata/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Origins []string `json:"default_origins"`
		Cases   []verdict
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	for _, c := range index.Cases {
		if c.Origins == nil {
			c.Origins = index.Origins
		}
		out = append(out, c)
	}
	return out
}

func (v verdict) hold(t *testing.T, message []byte) {
	t.Helper()
	g, err := guard.New(guard.Config{Origins: v.Origins, TrackingConfigurationSets: v.Config.Sets})
	if err != nil {
		t.Fatal(err)
	}
	got := g.Check(message)
	if v.Expect == "accept" {
		if len(got) > 0 {
			t.Errorf("%s (%s) is refused: %v", v.ID, v.Title, got)
		}
		return
	}
	if !slices.ContainsFunc(got, func(f guard.Finding) bool { return slices.Contains(v.ReasonsAnyOf, f.Reason) }) {
		t.Errorf("%s (%s): found %v, want one of %v", v.ID, v.Title, got, v.ReasonsAnyOf)
	}
}

// TestCheck_everyMessage holds the verdict on each message, as it is and wrapped and encoded in other ways.
func TestCheck_everyMessage(t *testing.T) {
	t.Parallel()
	all := verdicts(t)
	if len(all) < 115 {
		t.Fatalf("%d messages", len(all))
	}
	for _, v := range all {
		b, err := os.ReadFile(filepath.Join("testdata", v.File))
		if err != nil {
			t.Fatal(err)
		}
		v.hold(t, b)
		nested := v
		nested.Title += ", in a multipart/mixed"
		nested.hold(t, nest(t, b))
		for _, encoding := range []string{"base64", "quoted-printable"} {
			again := v
			again.Title += ", in " + encoding
			again.hold(t, recode(t, b, encoding))
		}
	}
}

// split gives the header and the body of a message as they are.
func split(t *testing.T, message []byte) (header, body []byte) {
	t.Helper()
	header, body, ok := bytes.Cut(message, []byte("\r\n\r\n"))
	if !ok {
		t.Fatal("no header")
	}
	return header, body
}

// nest puts the whole content of a message into one more multipart.
func nest(t *testing.T, message []byte) []byte {
	header, body := split(t, message)
	var outer, inner []string
	for _, line := range strings.Split(strings.ReplaceAll(string(header), "\r\n ", "\x00"), "\r\n") {
		if strings.HasPrefix(strings.ToLower(line), "content-") {
			inner = append(inner, line)
		} else {
			outer = append(outer, line)
		}
	}
	out := strings.Join(outer, "\r\n") + "\r\nContent-Type: multipart/mixed; boundary=outermost\r\n\r\n--outermost\r\n" +
		strings.Join(inner, "\r\n") + "\r\n\r\n" + string(body) + "\r\n--outermost--\r\n"
	return []byte(strings.ReplaceAll(out, "\x00", "\r\n "))
}

// recode encodes the HTML of a message that is a simple multipart in another way; others stay.
func recode(t *testing.T, message []byte, encoding string) []byte {
	header, body := split(t, message)
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if kind != "multipart/alternative" {
		return message
	}
	parts := strings.Split(string(body), "--"+params["boundary"])
	for i, p := range parts {
		h, content, ok := strings.Cut(p, "\r\n\r\n")
		if !ok || !strings.Contains(h, "text/html") || !strings.Contains(h, "quoted-printable") {
			continue
		}
		plain, err := decodeQP(content)
		if err != nil {
			t.Fatal(err)
		}
		var to string
		if encoding == "base64" {
			to = base64.StdEncoding.EncodeToString(plain) + "\r\n"
		} else {
			var b bytes.Buffer
			w := quotedprintable.NewWriter(&b)
			w.Binary = true // every line break is escaped
			if _, err := w.Write(plain); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			to = b.String() + "\r\n"
		}
		parts[i] = strings.Replace(h, "quoted-printable", encoding, 1) + "\r\n\r\n" + to
	}
	return append(append(slices.Clone(header), "\r\n\r\n"...), strings.Join(parts, "--"+params["boundary"])...)
}

func decodeQP(s string) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(quotedprintable.NewReader(strings.NewReader(s)))
	return b.Bytes(), err
}

// FuzzCheck: no message makes the guard fail or run away, and what it lets pass has no remote image in plain sight.
func FuzzCheck(f *testing.F) {
	for _, v := range verdicts(f) {
		b, err := os.ReadFile(filepath.Join("testdata", v.File))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	g, err := guard.New(guard.Config{Origins: []string{"https://auth.example.test"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, message []byte) { g.Check(message) })
}

func BenchmarkCheck(b *testing.B) {
	message, err := os.ReadFile("testdata/accept/mt-a17-dark-mode.eml")
	if err != nil {
		b.Fatal(err)
	}
	g, err := guard.New(guard.Config{Origins: []string{"https://auth.example.test"}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		g.Check(message)
	}
}
