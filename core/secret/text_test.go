package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/secret"
)

const plain = "correct-horse-battery"

type outer struct {
	Shown  secret.Text
	hidden secret.Text
	List   []secret.Text
	Map    map[string]secret.Text
	Ptr    *secret.Text
}

// ASVS 5.0 16.2.5: secrets must not reach the log, in whatever way they are handed to it.
func TestText_neverPrinted(t *testing.T) {
	t.Parallel()
	s := secret.New(plain)
	o := outer{Shown: s, hidden: s, List: []secret.Text{s}, Map: map[string]secret.Text{"k": s}, Ptr: &s}
	var out strings.Builder
	for _, verb := range strings.Split("%v %+v %#v %q %s %x %X %d %T %p %t %10.3s %-20v %U %w %c %b %o %e", " ") {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", o)
		fmt.Fprintf(&out, verb+"\n", &o)
	}
	fmt.Fprintln(&out, s, &s, o, fmt.Errorf("wrapped %v %s", s, s))
	for _, v := range []any{s, &s, o, &o} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	if b, err := xml.Marshal(s); err != nil {
		t.Fatal(err)
	} else {
		out.Write(b)
	}
	for _, asJSON := range []bool{true, false} {
		log := hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: asJSON, Level: hclog.Trace})
		log.Info("hclog", "s", s, "p", &s, "o", o, "po", &o, "list", o.List, "fmt", hclog.Fmt("%s", s), "quote", hclog.Quote(s.String()))
	}
	var buf bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&buf, nil), slog.NewTextHandler(&buf, nil)} {
		slog.New(h).Info("slog", "s", s, "p", &s, "o", o, "po", &o)
	}
	out.Write(buf.Bytes())

	all := out.String()
	hexed := fmt.Sprintf("%x", plain)
	for _, leak := range []string{plain, hexed, strings.ToUpper(hexed), plain[:7]} {
		if i := strings.Index(all, leak); i >= 0 {
			t.Errorf("the secret leaked: …%s…", all[max(0, i-80):min(len(all), i+40)])
		}
	}
	if strings.Count(all, secret.Redacted) < 60 {
		t.Errorf("expected [redacted] all over, got:\n%s", all)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var unset secret.Text
	if !unset.IsZero() || unset.String() != "" || unset.Reveal() != "" || !secret.New("").IsZero() {
		t.Error("the zero value must be unset and print as nothing")
	}
	s := secret.New(plain)
	if s.IsZero() || s.Reveal() != plain {
		t.Error("Reveal must return what New was given")
	}
	if s != secret.New(plain) || s == secret.New("x") || !reflect.DeepEqual(s, secret.New(plain)) {
		t.Error("== compares values")
	}
	if !s.Equal(secret.New(plain)) || s.Equal(unset) || s.Equal(secret.New("x")) || !unset.Equal(secret.Text{}) {
		t.Error("Equal compares values")
	}
	var back secret.Text
	if err := json.Unmarshal([]byte(`"[redacted]"`), &back); err == nil {
		t.Error("a redacted secret must not be read back as if it were one")
	}
}
