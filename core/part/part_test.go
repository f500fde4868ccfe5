package part_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// house notes what is done to its parts.
type house struct{ did []string }

type (
	registration = part.Part[*house, int]
	hooks        = part.Hooks[int]
)

// full is a part that notes everything.
func full(name string) registration {
	return registration{Name: name, Schema: part.Schema{Personal: []string{name + "_person"}}, Open: func(_ context.Context, h *house) (hooks, error) {
		note := func(what string) { h.did = append(h.did, what+" "+name) }
		note("open")
		return hooks{
			Clean:  func(context.Context) (int64, error) { note("clean"); return 1, nil },
			Reload: func(int) error { note("reload"); return nil },
			Export: func(context.Context, store.Querier, part.Subject) (any, error) { note("export"); return name, nil },
			Erase:  func(context.Context, *store.Tx, part.Subject) error { note("erase"); return nil },
			Close:  func() error { note("close"); return nil },
		}, nil
	}}
}

func TestSet_order(t *testing.T) {
	t.Parallel()
	h, s := &house{}, part.NewSet[int](nil)
	empty := registration{Name: "empty"}
	if err := part.Open(t.Context(), s, h, []registration{full("a"), empty, full("b")}); err != nil {
		t.Fatal(err)
	}
	s.Clean(t.Context())
	if failed := s.Reload(1); len(failed) > 0 {
		t.Error(failed)
	}
	all, err := s.Export(t.Context(), nil, part.Subject{})
	if err != nil || len(all) != 2 || all["a"] != "a" || all["b"] != "b" {
		t.Errorf("%v, %v", all, err)
	}
	names, err := s.Erase(t.Context(), nil, part.Subject{})
	if err != nil || !slices.Equal(names, []string{"b", "a"}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	want := "open a, open b, clean a, clean b, reload a, reload b, export a, export b, erase b, erase a, close b, close a"
	if got := strings.Join(h.did, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// One part's failure is named, and keeps the others from nothing that they can do by themselves.
func TestSet_failures(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	bad := registration{Name: "bad", Open: func(context.Context, *house) (hooks, error) {
		return hooks{
			Run:    func(context.Context) error { return broken },
			Clean:  func(context.Context) (int64, error) { return 0, broken },
			Reload: func(int) error { return broken },
			Export: func(context.Context, store.Querier, part.Subject) (any, error) { return nil, broken },
			Erase:  func(context.Context, *store.Tx, part.Subject) error { return broken },
			Close:  func() error { return broken },
		}, nil
	}}
	h, s := &house{}, part.NewSet[int](nil)
	if err := part.Open(t.Context(), s, h, []registration{bad, full("good")}); err != nil {
		t.Fatal(err)
	}
	named := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "bad") {
			t.Errorf("%s: %v", what, err)
		}
	}
	named("run", s.Run(t.Context()))
	s.Clean(t.Context())
	if failed := s.Reload(1); len(failed) != 1 || failed[0].Part != "bad" || !errors.Is(failed[0].Err, broken) {
		t.Errorf("%v", failed)
	}
	_, err := s.Export(t.Context(), nil, part.Subject{})
	named("export", err)
	_, err = s.Erase(t.Context(), nil, part.Subject{})
	named("erase", err)
	named("close", s.Close())
	if want := []string{"open good", "clean good", "reload good", "erase good", "close good"}; !slices.Equal(h.did, want) {
		t.Errorf("%v, want %v", h.did, want)
	}
}

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	forgetful := full("forgetful")
	forgetful.Open = func(context.Context, *house) (hooks, error) { return hooks{Export: part.NoExport}, nil }
	never := registration{Name: "never", Schema: part.Schema{Personal: []string{"t"}}}
	same := full("b")
	same.Schema.Impersonal = []string{"a_person"}
	failing := registration{Name: "failing", Open: func(context.Context, *house) (hooks, error) { return hooks{}, errors.New("no way") }}
	for want, list := range map[string][]registration{
		"has a name of its own":             {full("a"), full("a")},
		`part ""`:                           {{}},
		`a_person belongs to part "a"`:      {full("a"), same},
		"so it needs an Export and an Eras": {forgetful},
		`part "never"`:                      {never},
		"no way":                            {full("a"), failing},
	} {
		h, s := &house{}, part.NewSet[int](nil)
		if err := part.Open(t.Context(), s, h, list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(strings.Join(h.did, " "), "open"); n != strings.Count(strings.Join(h.did, " "), "close") {
			t.Errorf("%s: what was opened was not closed: %v", want, h.did)
		}
	}
}

func TestSubject_ref(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	if got := (part.Subject{UserID: id}).Ref(); got != "user:01890a5d-ac96-774b-bcce-b302099a8057" {
		t.Error(got)
	}
}
