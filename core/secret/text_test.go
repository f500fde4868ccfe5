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

const value = "hunter2-hunter2"

type holder struct {
	Public  secret.Text
	private secret.Text
	Many    []secret.Text
	Pointer *secret.Text
}

func TestText_isNeverPrinted(t *testing.T) {
	t.Parallel()
	s := secret.New(value)
	h := holder{s, s, []secret.Text{s}, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%10s", "%-10v", "%t", "%c", "%U"} {
		for _, v := range []any{s, &s, h, &h, []any{s, h}, map[string]any{"k": s, "h": h}, map[secret.Text]int{s: 1}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, s, h)
	for _, v := range []any{s, &s, h, map[string]any{"k": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	b, _ := xml.Marshal(h)
	out.Write(b)
	for _, asJSON := range []bool{false, true} {
		l := hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: asJSON})
		l.Info("with", "secret", s, "pointer", &s, "struct", h, "slice", []secret.Text{s}, "format", hclog.Fmt("%v", s))
		l.With("secret", s).Named("x").Error("again")
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "h", h)
	hexed := fmt.Sprintf("%x", value)
	for _, leak := range []string{value, hexed, strings.ToUpper(hexed), value[:8]} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed %q", leak)
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing says that a secret was left out")
	}
	if h.private.Reveal() != value {
		t.Error("Reveal lost it")
	}
}

func TestText_equality(t *testing.T) {
	t.Parallel()
	a, b := secret.New("a"), secret.New(strings.Clone("a"))
	if !a.Equal(b) || !reflect.DeepEqual(a, b) || a.Equal(secret.New("b")) || a.Equal(secret.Text{}) {
		t.Error("equality is not by value")
	}
	if !secret.New("").IsZero() || a.IsZero() || secret.New("").Reveal() != "" {
		t.Error("the empty secret is the zero value")
	}
}
