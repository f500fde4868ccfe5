//go:build !core_only

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// billing has the operator post an event as the application would.
func (in *instance) billing(status int, id, typ, organization string, seats int) {
	in.t.Helper()
	body := map[string]any{"id": id, "type": typ, "subject": "organization:" + organization, "data": map[string]any{
		"subscription": "sub_1", "organization_id": organization, "plan": "team", "seats": seats, "status": "active",
	}}
	in.must(status, "POST", "/v1/events", in.applicationKey(), body)
}

// waitedFor is the block of a satellite whose answers are waited for: a busy machine is not what these tests are about.
func waitedFor(name string, questions ...string) string {
	block := fmt.Sprintf("plugin %q {\n", name)
	for _, q := range questions {
		block += fmt.Sprintf("  gate %q {\n    on_error = \"deny\"\n    timeout  = \"20s\"\n  }\n", q)
	}
	return block + "}\n"
}

// organization makes one that somebody owns, and gives its id.
func (in *instance) organization(name, owner string) string {
	in.t.Helper()
	var made struct {
		ID string `json:"id"`
	}
	out := in.cli("organization", "create", name, "--owner", owner, "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.ID == "" {
		in.t.Fatalf("%v: %s", err, out)
	}
	return made.ID
}

// TestAccrue: three seats are paid for, and the fourth member is refused on every way in; two more are paid for, and they come in; without the block
// there is no limit.
func TestAccrue(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		with := setup{database: database, plugins: waitedFor("accrue", "member.add")}
		in := newInstance(t, with)
		in.start()
		in.pluginReady("accrue")
		emails := in.people(7)
		acme := in.organization("Acme", emails[0])
		in.billing(http.StatusAccepted, "evt_1", "billing.subscription.created", acme, 3)
		in.seats(acme, "3")
		in.cli("organization", "member", "add", "acme", emails[1])
		in.cli("organization", "member", "add", "acme", emails[2])
		owner, err := in.signIn(emails[0])
		if err != nil {
			t.Fatal(err)
		}
		full := func(what string, err error, out string) {
			t.Helper()
			if err == nil || !strings.Contains(out, "All 3 seats") && !strings.Contains(out, "seat_limit_reached") {
				t.Errorf("%s: %v %s", what, err, out)
			}
		}
		out, errOut, err := in.tryCLI("organization", "member", "add", "acme", emails[3])
		full("added", err, out+errOut)
		r, err := in.call("POST", "/v1/organizations/acme/invitations", owner.Token, map[string]any{"email": emails[3]})
		if err != nil || r.status < 400 || !strings.Contains(string(r.body), "seat_limit_reached") {
			t.Errorf("invited: %v %d %s", err, r.status, r.body)
		}
		if out := in.cli("accrue", "seats", acme); strings.Count(out, "\n") < 3 {
			t.Error(out)
		}

		in.billing(http.StatusAccepted, "evt_2", "billing.subscription.upgraded", acme, 5)
		in.seats(acme, "5")
		in.billing(http.StatusOK, "evt_1", "billing.subscription.created", acme, 3) // once more: it changes nothing
		in.cli("organization", "member", "add", "acme", emails[3])
		in.cli("organization", "member", "add", "acme", emails[4])
		if out, errOut, err := in.tryCLI("organization", "member", "add", "acme", emails[5]); err == nil {
			t.Errorf("a sixth: %s %s", out, errOut)
		}
		in.cli("organization", "member", "remove", "acme", emails[4])
		in.eventually(30*time.Second, "a free seat", func() error {
			out, errOut, err := in.tryCLI("organization", "member", "add", "acme", emails[5])
			if err != nil {
				return fmt.Errorf("%w: %s%s", err, out, errOut)
			}
			return nil
		})

		alone := with
		alone.plugins = ""
		in.configure(alone)
		in.cli("reload")
		in.cli("organization", "member", "add", "acme", emails[6])
	})
}

// seats waits until so many are paid for.
func (in *instance) seats(organization, n string) {
	in.t.Helper()
	in.eventually(30*time.Second, n+" seats", func() error {
		out, _, err := in.tryCLI("accrue", "explain", organization, "--json")
		if err != nil || !strings.Contains(out, n) {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
}
