package pluginsdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func hostOf(t *testing.T, fake *plugintest.Fake) *pluginsdk.Host {
	t.Helper()
	return plugintest.Start(t, newSink(nil), plugintest.Config{Host: fake}).SDK()
}

func TestHost_identity(t *testing.T) {
	t.Parallel()
	fake := &plugintest.Fake{}
	var ids []string
	for i := range 450 {
		id := fmt.Sprint("u", i)
		ids = append(ids, id)
		fake.AddUser(pluginsdk.User{ID: id, Email: id + "@example.com", Status: "active", PublicMetadata: map[string]any{"n": 1.0}})
	}
	fake.AddUser(pluginsdk.User{ID: "gone", Email: "gone@example.com", Status: "deleted"})
	for i := range 5 {
		fake.AddMembership(pluginsdk.Membership{UserID: "u1", OrganizationID: fmt.Sprint("o", i), Role: "owner", CreatedAt: plugintest.Epoch})
	}
	fake.AddOrganization(pluginsdk.Organization{ID: "o1", Slug: "acme", Name: "Acme"})
	fake.AddSession(plugintest.Ada)
	h := hostOf(t, fake)
	id := h.Identity()

	if us, err := id.Users(t.Context(), append(ids, "nobody", "gone")...); err != nil || len(us) != 451 {
		t.Errorf("%d users, %v", len(us), err)
	}
	if calls := fake.Calls(pluginsdk.IdentityRead); calls != 3 {
		t.Errorf("452 ids took %d calls", calls)
	}
	if u, ok, err := id.User(t.Context(), "gone"); err != nil || !ok || u.Status != "deleted" || u.Email != "" {
		t.Errorf("%+v, %v, %v", u, ok, err)
	}
	if _, ok, err := id.User(t.Context(), "nobody"); err != nil || ok {
		t.Errorf("nobody: %v, %v", ok, err)
	}
	if u, ok, err := id.FindUser(t.Context(), pluginsdk.UserQuery{Email: "U7@example.com"}); err != nil || !ok || u.ID != "u7" {
		t.Errorf("%+v, %v, %v", u, ok, err)
	}
	var orgs []string
	for m, err := range id.Memberships(t.Context(), pluginsdk.MembershipQuery{UserID: "u1"}) {
		if err != nil {
			t.Fatal(err)
		}
		orgs = append(orgs, m.OrganizationID)
	}
	if got := strings.Join(orgs, " "); got != "o0 o1 o2 o3 o4" {
		t.Errorf("memberships in %s", got)
	}
	for range id.Memberships(t.Context(), pluginsdk.MembershipQuery{UserID: "u1"}) {
		break // leaving early is fine
	}
	if os, err := id.Organizations(t.Context(), "o1", "o9"); err != nil || len(os) != 1 || os[0].Slug != "acme" {
		t.Errorf("%v, %v", os, err)
	}
	if p, err := h.Sessions().Resolve(t.Context(), plugintest.Ada.SessionID); err != nil || p == nil || p.UserID != plugintest.Ada.UserID || !p.AuthTime.Equal(plugintest.Epoch) {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := h.Sessions().Resolve(t.Context(), "ended"); err != nil || p != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestHost_auditLogAndRecord(t *testing.T) {
	t.Parallel()
	fake := &plugintest.Fake{}
	fake.SetAuditLog(plugintest.RowsFrom(0, 7))
	a := hostOf(t, fake).Audit()
	var got []pluginsdk.AuditRow
	for after := ""; ; {
		page, err := a.Read(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Rows...)
		if after = page.Next; page.End {
			break
		}
	}
	if len(got) != 7 || got[6].ID != plugintest.RowsFrom(6, 1)[0].ID || got[3].Targets[1].ID != plugintest.Ada.SessionID {
		t.Errorf("%d rows, %+v", len(got), got)
	}
	for range 2 {
		if _, err := a.Record(t.Context(), pluginsdk.AuditEntry{
			Action: "sink.thing.done", Metadata: map[string]any{"list": []string{"a"}, "at": plugintest.Epoch}, IdempotencyKey: "k",
		}); err != nil {
			t.Fatal(err)
		}
	}
	if rs := fake.Recorded(); len(rs) != 1 || rs[0].Metadata["list"].([]any)[0] != "a" {
		t.Errorf("recorded %+v", rs)
	}
	if _, err := a.Record(t.Context(), pluginsdk.AuditEntry{Metadata: map[string]any{"f": func() {}}}); !pluginsdk.IsPermanent(err) {
		t.Errorf("a function as metadata: %v", err)
	}
}

func TestHost_theOtherServices(t *testing.T) {
	t.Parallel()
	fake := &plugintest.Fake{}
	h, ctx := hostOf(t, fake), t.Context()

	if p, err := h.Events().Publish(ctx, append(plugintest.Events("a.b", 2), plugintest.Events("a.b", 1)...)...); err != nil || p.Duplicate != 1 {
		t.Errorf("publish: %+v, %v", p, err)
	}
	if _, err := h.Mail().Send(ctx, pluginsdk.Message{IdempotencyKey: "1", To: pluginsdk.Address{Address: "a@b"}}); err != nil || fake.Sent()[0].To.Address != "a@b" {
		t.Errorf("mail: %v, %v", fake.Sent(), err)
	}
	sealed, err := h.Seal().Seal(ctx, []byte("plain"), "purpose")
	if err != nil || bytes.Contains(sealed, []byte("plain")) {
		t.Errorf("seal: %q, %v", sealed, err)
	}
	if plain, stale, err := h.Seal().Open(ctx, sealed, "purpose"); err != nil || stale || string(plain) != "plain" {
		t.Errorf("open: %q, %v", plain, err)
	}
	if _, _, err := h.Seal().Open(ctx, sealed, "other"); !pluginsdk.IsPermanent(err) {
		t.Errorf("open for another purpose: %v", err)
	}
	if u, err := h.Sessions().Mint(ctx, pluginsdk.MintRequest{Provider: "p", Subject: "s"}); err != nil || u.ContinueURL == "" || fake.Minted()[0].Subject != "s" {
		t.Errorf("mint: %v, %v", u, err)
	}
	fake.AddSession(plugintest.Ada)
	if r, err := h.Sessions().Revoke(ctx, pluginsdk.RevokeRequest{UserID: plugintest.Ada.UserID, Reason: "left"}); err != nil || len(r.SessionIDs) != 1 {
		t.Errorf("revoke: %v, %v", r, err)
	}
	if page, err := h.Pages().Render(ctx, pluginsdk.Page{Title: "T", BodyHTML: "<p>B</p>"}); err != nil || !strings.Contains(page.HTML, "<p>B</p>") {
		t.Errorf("render: %v, %v", page, err)
	}
	if u, err := h.Pages().SignInURL(ctx, pluginsdk.SignInRequest{ReturnTo: "/x", MaxAge: time.Minute}); err != nil || u != "/login?max_age=60&return_to=%2Fx" {
		t.Errorf("sign-in: %q, %v", u, err)
	}
	if h.BaseURL() != "https://sigra.example" || h.Instance() != "sink" || h.Database() != nil || h.Dialect() != "" {
		t.Errorf("%q %q %v %q", h.BaseURL(), h.Instance(), h.Database(), h.Dialect())
	}
}

func TestHost_kv(t *testing.T) {
	t.Parallel()
	fake := &plugintest.Fake{}
	kv, ctx := hostOf(t, fake).KV(), t.Context()
	v1, stored, err := kv.Put(ctx, pluginsdk.KVPut{Key: "a/1", Value: []byte("x")})
	if err != nil || !stored {
		t.Fatalf("put: %v, %v", stored, err)
	}
	if _, stored, _ := kv.Put(ctx, pluginsdk.KVPut{Key: "a/1", Value: []byte("y")}); stored {
		t.Error("put over what is there")
	}
	if _, stored, _ := kv.Put(ctx, pluginsdk.KVPut{Key: "a/1", Value: []byte("y"), IfVersion: v1}); !stored {
		t.Error("compare and swap")
	}
	_, _, _ = kv.Put(ctx, pluginsdk.KVPut{Key: "a/2", Value: []byte("z"), IfVersion: pluginsdk.AnyVersion, TTL: time.Minute})
	if es, err := kv.List(ctx, "a/", "", 10); err != nil || len(es) != 2 || string(es[0].Value) != "y" {
		t.Errorf("list: %v, %v", es, err)
	}
	fake.Clock.Advance(time.Hour)
	if _, found, _ := kv.Get(ctx, "a/2"); found {
		t.Error("it outlived its time")
	}
	if gone, err := kv.Delete(ctx, "a/1", v1); err != nil || gone {
		t.Errorf("delete of an old version: %v, %v", gone, err)
	}
	if gone, err := kv.Delete(ctx, "a/1", pluginsdk.AnyVersion); err != nil || !gone {
		t.Errorf("delete: %v, %v", gone, err)
	}
}

func TestLease_Hold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &plugintest.Fake{}
		r := plugintest.Start(t, newSink(nil), plugintest.Config{Host: fake})
		lease := r.SDK().Lease()
		var first int64
		ran, err := lease.Hold(t.Context(), "job", 30*time.Second, func(_ context.Context, token int64) error {
			first = token
			time.Sleep(2 * time.Minute) // renewed meanwhile, as the fake's clock shows
			if n := fake.Calls(pluginsdk.LeaseHold); n < 10 {
				t.Errorf("renewed by %d calls", n)
			}
			return nil
		})
		if !ran || err != nil {
			t.Fatalf("ran %v, %v", ran, err)
		}
		fake.TakeLease("job", time.Minute)
		if ran, err := lease.Hold(t.Context(), "job", 30*time.Second, nil); ran || err != nil {
			t.Errorf("ran %v beside another node, %v", ran, err)
		}
		fake.Clock.Advance(2 * time.Minute)
		ran, err = lease.Hold(t.Context(), "job", 30*time.Second, func(ctx context.Context, token int64) error {
			if token <= first {
				t.Errorf("the fence went from %d to %d", first, token)
			}
			fake.TakeLease("job", time.Hour)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !ran || !errors.Is(err, pluginsdk.ErrLeaseLost) {
			t.Errorf("ran %v, %v", ran, err)
		}
		_ = r.Stop(time.Second)
		synctest.Wait()
	})
}
