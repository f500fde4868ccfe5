package pluginhost_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Whoever is deleted is forgotten by every plugin: by one that can't at first, later; by one that is not there, when it is back.
func TestErase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, everything, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := context.Background()
		const both = "plugin \"asker_all\" {}\nplugin \"asker_none\" {}"
		w.erasures.Use([]string{"asker_all", "asker_none", "gone"})
		deleted := func(email string) part.Subject {
			t.Helper()
			who := part.Subject{UserID: uuid.New(), Email: email}
			if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return w.erasures.Enqueue(ctx, tx, who) }); err != nil {
				t.Fatal(err)
			}
			return who
		}
		// An hour goes by each time, and whatever is due is tried.
		round := func() {
			t.Helper()
			w.later.Add(int64(time.Hour))
			if err := w.Subjects().Erase(ctx); err != nil {
				t.Fatal(err)
			}
		}
		waiting := func() (out []string) {
			t.Helper()
			rows, err := db.Query(ctx, `SELECT plugin FROM erasure ORDER BY plugin`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					t.Fatal(err)
				}
				out = append(out, name)
			}
			return out
		}
		before := deleted("ada@example.com")
		round()
		if got := waiting(); len(got) != 3 {
			t.Errorf("before anybody is there: %v", got)
		}
		w.apply(both)
		w.wait("asker_all", pluginhost.Ready)
		w.wait("asker_none", pluginhost.Ready)
		select {
		case <-w.erasures.Nudged():
		default:
			t.Error("nobody is told of a deletion")
		}
		round()
		if got := waiting(); !slices.Equal(got, []string{"gone"}) {
			t.Errorf("%v", got)
		}
		if seen := w.seen("asker_none"); !slices.Contains(seen, fmt.Sprintf("erase %s ada@example.com", before.UserID)) {
			t.Errorf("%q", seen)
		}
		busy := deleted("busy@example.com")
		round()
		if got := waiting(); !slices.Equal(got, []string{"asker_all", "asker_none", "gone", "gone"}) {
			t.Errorf("while they are busy: %v", got)
		}
		round()
		if got := waiting(); !slices.Equal(got, []string{"gone", "gone"}) {
			t.Errorf("%v", got)
		}
		// One line for each, with how often it was asked.
		poll(t, "the rows", func() (string, bool) {
			rows := w.rows("account.plugin_erase")
			n := 0
			for _, r := range rows {
				if r.Targets[0] == (audit.Ref{Type: "user", ID: busy.UserID.String()}) && r.Actor.Type == "plugin" && fmt.Sprint(r.Metadata["tries"]) == "2" {
					n++
				}
			}
			return fmt.Sprint(rows), len(rows) == 4 && n == 2
		})
		var sealed []byte
		if err := db.QueryRow(ctx, `SELECT subject FROM erasure LIMIT 1`).Scan(&sealed); err != nil || strings.Contains(string(sealed), "example.com") {
			t.Errorf("%q %v", sealed, err)
		}
		if err := w.Purge(ctx, "gone"); err != nil || len(waiting()) != 0 {
			t.Errorf("%v, %v", waiting(), err)
		}
	})
}

func TestExportSubject(t *testing.T) {
	t.Parallel()
	f := newHost(t, "asker_all asker_none")
	f.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
	f.wait("asker_all", pluginhost.Ready)
	f.wait("asker_none", pluginhost.Ready)
	data, missing := f.Subjects().Export(context.Background(), uuid.New(), "ada@example.com")
	if len(missing) != 0 || len(data) != 2 || string(data["asker_all"]) != `{"email":"ada@example.com"}` {
		t.Errorf("%s %v", data, missing)
	}
	data, missing = f.Subjects().Export(context.Background(), uuid.New(), "broken@example.com")
	if !slices.Equal(missing, []string{"asker_none"}) || len(data) != 1 {
		t.Errorf("%s %v", data, missing)
	}
}

// Every plugin is told of a sign-out, one after the other, and each is told to come back to where the one before it goes. What it wants
// shown is https, or its own.
func TestSignedOut(t *testing.T) {
	t.Parallel()
	f := newHost(t, "asker_all asker_none", func(c *pluginhost.Config, _ *fixture) { c.BaseURL = "https://id.example.com" })
	ctx := context.Background()
	who := principal.Principal{Kind: principal.User, UserID: uuid.New(), SessionID: uuid.New(), Email: "ada@example.com"}
	if got := f.SignedOut(ctx, who, "https://id.example.com/login"); len(got.Frames) != 0 || got.Redirect != "" {
		t.Errorf("without plugins: %+v", got)
	}
	f.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
	f.wait("asker_all", pluginhost.Ready)
	f.wait("asker_none", pluginhost.Ready)
	got := f.SignedOut(ctx, who, "https://id.example.com/login")
	want := []string{"https://rp.example/asker_all?sid=1", "/asker_all/frame", "https://rp.example/asker_none?sid=1", "/asker_none/frame"}
	first := "https://idp.example/asker_all?back=" + url.QueryEscape("https://id.example.com/login")
	if !slices.Equal(got.Frames, want) || got.Redirect != "https://idp.example/asker_none?back="+url.QueryEscape(first) {
		t.Errorf("%+v", got)
	}
	_, body := f.get("/asker_none/seen")
	if !strings.Contains(body, fmt.Sprintf("signed out %s %s to %s", who.UserID, who.SessionID, first)) {
		t.Errorf("%s", body)
	}
	who.Email = "slow@example.com"
	begin := time.Now()
	if got = f.SignedOut(ctx, who, "/login"); len(got.Frames) != 2 || time.Since(begin) > 10*time.Second {
		t.Errorf("with one that is slow: %+v", got)
	}
}
