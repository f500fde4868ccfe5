package inspect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/inspect"
	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

const vectors = "../saml/testdata/vectors"

// An index is testdata/vectors/index.json; README.md beside it says what each field means.
type index struct {
	Clock             time.Time       `json:"clock"`
	DefaultConnection json.RawMessage `json:"default_connection"`
	Vectors           []vector        `json:"vectors"`
}

type vector struct {
	ID         string          `json:"id"`
	File       string          `json:"file"`
	Kind       string          `json:"kind"`
	Expect     string          `json:"expect"`
	Gate       saml.Gate       `json:"gate"`
	NameID     string          `json:"name_id"`
	Connection json.RawMessage `json:"connection"`
	PadTo      int             `json:"pad_to"`
	Steps      []struct {
		File   string `json:"file"`
		Expect string `json:"expect"`
	} `json:"steps"`
}

// TestVectors holds every vector against its verdict, and every refusal against its reason.
func TestVectors(t *testing.T) {
	t.Parallel()
	file, err := inspect.Load(filepath.Join(vectors, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all index
	read(t, filepath.Join(vectors, "index.json"), &all)
	for _, v := range all.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			switch v.Kind {
			case "sequence":
				return // needs a memory: the tests of plugins/relyra play it
			case "relaystate":
				v.relayState(t)
				return
			}
			var state inspect.State
			merge(t, &state, all.DefaultConnection, v.Connection)
			message := pad(content(t, v.File), v.PadTo)
			if kind := inspect.KindOf(message); string(kind) != v.Kind && kind != guesses[v.ID] {
				t.Errorf("taken for a %s, is a %s", kind, v.Kind)
			}
			got, err := file.With(state).Judge(all.Clock, inspect.Kind(v.Kind), message)
			if err != nil {
				t.Fatal(err)
			}
			v.check(t, got)
		})
	}
}

func (v vector) check(t *testing.T, got *inspect.Verdict) {
	t.Helper()
	want, wantGate := v.Expect, v.Gate
	if choice, ok := choices[v.ID]; ok && v.Expect == "policy" {
		want, wantGate = choice.verdict, choice.gate
	} else if earlier, ok := earlier[v.ID]; ok {
		wantGate = earlier
	}
	if want == "policy" {
		t.Errorf("no choice is written down; it is %s %s: %s", got.Verdict, got.Gate, got.Detail)
		return
	}
	if got.Verdict != want {
		t.Fatalf("%s, want %s (%s: %s; expected %q, received %q)", got.Verdict, want, got.Gate, got.Detail, got.Expected, got.Received)
	}
	if want == "reject" && got.Gate != wantGate {
		t.Errorf("refused by %s, want %s (%s; expected %q, received %q)", got.Gate, wantGate, got.Detail, got.Expected, got.Received)
	}
	if want == "accept" && v.NameID != "" && (got.Identity == nil || got.Identity.Value != v.NameID) {
		t.Errorf("signed in %+v, want %s", got.Identity, v.NameID)
	}
}

// relayState: the value is refused as the name of a target, whatever becomes of the response that it came with.
func (v vector) relayState(t *testing.T) {
	t.Helper()
	r, ok := saml.AsRefusal(saml.CheckRelayState(string(content(t, v.File))))
	if !ok || r.Gate != v.Gate {
		t.Errorf("%v, want %s", r, v.Gate)
	}
}

// TestVectors_redirect: what is refused for its binding alone must not be inflated whole either where redirects are taken.
func TestVectors_redirect(t *testing.T) {
	t.Parallel()
	file, err := inspect.Load(filepath.Join(vectors, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, gate := range map[string]saml.Gate{"reject/redir-deflate-bomb.txt": saml.GateTooLarge, "reject/redir-zlib-header.txt": saml.GateEncoding} {
		got, err := file.Judge(time.Now(), inspect.LogoutRedirect, content(t, name))
		if err != nil || got.Gate != gate {
			t.Errorf("%s: %+v %v, want %s", name, got, err, gate)
		}
	}
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func pad(message []byte, size int) []byte {
	if size <= len(message) {
		return message
	}
	at := bytes.LastIndex(message, []byte("</"))
	return []byte(string(message[:at]) + strings.Repeat(" ", size-len(message)) + string(message[at:]))
}

func merge(t *testing.T, into any, parts ...json.RawMessage) {
	t.Helper()
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		if err := json.Unmarshal(part, into); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
