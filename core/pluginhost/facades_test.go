package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// kindOf tells what the mail queue would make of an error: sent, again, never, or perhaps.
func kindOf(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return "sent"
	case !errors.As(err, &f):
		return "perhaps"
	case f.Kind == fault.Unavailable, f.Kind == fault.RateLimited:
		return "again"
	case f.Kind == fault.Invalid, f.Kind == fault.Denied:
		return "never"
	}
	return "perhaps"
}

func TestMailer_whatBecomesOfAMail(t *testing.T) {
	t.Parallel()
	var sw mailSwitch
	f := newHost(t, "asker_all", func(c *pluginhost.Config, _ *fixture) { c.Mail = &sw })
	if sw.get() != nil {
		t.Error("a mailer before there is a plugin")
	}
	f.apply(`plugin "asker_all" {}`)
	f.wait("asker_all", pluginhost.Ready)
	poll(t, "the plugin to be the mailer", func() (string, bool) { return "", sw.get() != nil })
	m := sw.get()
	send := func(ctx context.Context, subject string) error {
		return m.Send(ctx, mail.Message{ID: uuid.New(), Purpose: "confirm_email", To: mail.Address{Address: "ada@example.com"}, Subject: subject, Text: "t"})
	}
	for subject, want := range map[string]string{"accepted": "sent", "rejected": "never", "retry": "again", "uncertain": "perhaps", "nothing": "perhaps"} {
		if err := send(context.Background(), subject); kindOf(err) != want {
			t.Errorf("%s: %s (%v), want %s", subject, kindOf(err), err, want)
		} else if err != nil && strings.Count(err.Error(), "asker_all") > 1 {
			t.Errorf("%s names the plugin more than once: %v", subject, err)
		}
	}
	// It may have left before the deadline, or before the process ended: nobody can know.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	if err := send(ctx, "hang"); kindOf(err) != "perhaps" {
		t.Errorf("a mailer that hangs: %v", err)
	}
	cancel()
	if err := send(context.Background(), "crash"); kindOf(err) != "perhaps" {
		t.Errorf("a mailer that crashes: %v", err)
	}
	// While it is down the message surely has not left.
	for {
		i, _ := f.Info("asker_all")
		if err := send(context.Background(), "accepted"); i.PID == 0 && err != nil && kindOf(err) != "again" {
			t.Errorf("a mailer that is down: %v", err)
		}
		if i.State == pluginhost.Ready && i.Restarts > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.apply(``)
	if sw.get() != nil {
		t.Error("the mailer of a removed plugin is still asked")
	}
	if err := send(context.Background(), "accepted"); kindOf(err) != "again" {
		t.Errorf("through the facade that was kept: %v", err)
	}
}

func TestLoginMethods_ofEverybodyWhoAnswers(t *testing.T) {
	t.Parallel()
	f := newHost(t, "asker_all asker_none")
	ctx := context.Background()
	if got, _ := f.LoginMethods(ctx, "example.com", uuid.Nil, "/"); got != nil {
		t.Errorf("without plugins: %v", got)
	}
	f.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
	f.wait("asker_all", pluginhost.Ready)
	f.wait("asker_none", pluginhost.Ready)
	want := func(domain string, plugins ...string) {
		t.Helper()
		begin := time.Now()
		var got []string
		methods, _ := f.LoginMethods(ctx, domain, uuid.Nil, "/next")
		for _, m := range methods {
			got = append(got, m.Plugin+" "+m.ID+" "+m.URL)
		}
		for i, p := range plugins {
			plugins[i] = p + " good /" + p + "/start?to=x"
		}
		if !slices.Equal(got, plugins) || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %q after %s, want %q", domain, got, time.Since(begin), plugins)
		}
	}
	// Only what leads below the plugin's own routes, and has a name, is offered.
	want("example.com", "asker_all", "asker_none")
	// One that does not answer in time is left out, and nobody else.
	want("slow.example", "asker_all")
	info, _ := f.Info("asker_none")
	kill(info.PID)
	poll(t, "its end to be noticed", func() (string, bool) { i, _ := f.Info("asker_none"); return "", i.PID != info.PID })
	if got, _ := f.LoginMethods(ctx, "example.com", uuid.Nil, "/"); len(got) == 0 || got[0].Plugin != "asker_all" {
		t.Errorf("with one down: %v", got)
	}
}

func TestClaims_staleWhenAPluginFails(t *testing.T) {
	t.Parallel()
	f := newHost(t, "asker_all asker_none")
	ctx := context.Background()
	who := principal.Principal{Kind: principal.User, UserID: uuid.New()}
	if c := f.Claims(ctx, pluginhost.ClaimsQuery{Who: who, Audience: "app"}); len(c.Values) != 0 || len(c.Stale) != 0 {
		t.Errorf("without plugins: %+v", c)
	}
	f.apply("plugin \"asker_all\" {}\nplugin \"asker_none\" {}")
	f.wait("asker_all", pluginhost.Ready)
	f.wait("asker_none", pluginhost.Ready)
	c := f.Claims(ctx, pluginhost.ClaimsQuery{Who: who, Audience: "app"})
	for _, name := range []string{"asker_all", "asker_none"} {
		if v := c.Values[name]; len(v) != 2 || v["plan"] != "gold" || v["seats"] != 3.0 {
			t.Errorf("claims of %s: %v", name, v)
		}
	}
	if len(c.Stale) != 0 || c.MaxAge <= 50*time.Second || c.MaxAge > time.Minute {
		t.Errorf("%+v", c)
	}
	c = f.Claims(ctx, pluginhost.ClaimsQuery{Who: who, Audience: "slow"})
	if !slices.Equal(c.Stale, []string{"asker_none"}) || c.Values["asker_none"] != nil || c.Values["asker_all"]["plan"] != "gold" {
		t.Errorf("with one that is slow: %+v", c)
	}
}

// A new plugin reads from the oldest row and event there is, or, if its block says so, from those that come.
func TestSinks_fromTheBeginningOrFromNow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, everything, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := context.Background()
		note := func(reason string) {
			t.Helper()
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				_, err := w.audit.Record(ctx, tx, audit.Entry{Action: "auth.login.success", Reason: reason, Actor: audit.Ref{Type: "user", ID: "1"}, Targets: []audit.Ref{{Type: "user", ID: "1"}}})
				return err
			})
			if err == nil {
				_, _, err = w.events.Publish(ctx, []event.Event{
					{ID: reason, Type: "billing.paid", Data: []byte(`{}`)}, {ID: reason + "-poison", Type: "billing.paid", Subject: "poison", Data: []byte(`{}`)},
					{ID: reason + "-other", Type: "shipping.sent", Data: []byte(`{}`)}, {ID: reason + "-wider", Type: "support.asked", Data: []byte(`{}`)},
				})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		note("before")
		w.await("auth.login.success") // "now" is after what can be read, and a row can be read a moment after its commit
		poll(t, "the events to be read", func() (string, bool) {
			got, _, err := w.events.Read(ctx, audit.Position{}, 10)
			return fmt.Sprint(len(got), err), err == nil && len(got) == 4
		})
		w.apply("plugin \"asker_all\" {\n events {\n include = [\"support.*\"]\n }\n}\nplugin \"asker_none\" {\n events {\n from = \"now\"\n }\n}")
		w.wait("asker_all", pluginhost.Ready)
		w.wait("asker_none", pluginhost.Ready)
		// Where "now" is, is fixed when the sink is attached for the first time.
		poll(t, "both to be attached", func() (string, bool) {
			s, err := w.relay.Status(ctx)
			return fmt.Sprint(len(s), err), err == nil && len(s) == 4
		})
		note("after")
		has := func(seen []string, what string) bool {
			return slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, what) })
		}
		for _, plugin := range []string{"asker_all", "asker_none"} {
			poll(t, plugin+" to have what came after", func() (string, bool) {
				seen := w.seen(plugin)
				return fmt.Sprint(seen), has(seen, "row auth.login.success after") && has(seen, "event after billing.paid")
			})
		}
		all, none := w.seen("asker_all"), w.seen("asker_none")
		if !has(all, "row auth.login.success before") || !has(all, "event before billing.paid") || !has(all, "event before-wider") {
			t.Errorf("from the beginning: %q", all)
		}
		if has(none, "row auth.login.success before") || has(none, "event before") {
			t.Errorf("from now: %q", none)
		}
		if has(all, "event before-other") || has(none, "event after-wider") {
			t.Errorf("events that it did not ask for: %q %q", all, none)
		}
		// What a sink refuses for good is kept, and holds nothing up.
		poll(t, "the refused event among the dead letters", func() (string, bool) {
			s, err := w.relay.Status(ctx)
			dead := 0
			for _, c := range s {
				if c.Sink == "plugin.asker_all.events" {
					dead = int(c.DeadLetters)
				}
			}
			return fmt.Sprintf("%+v %v", s, err), dead == 2
		})
	})
}
