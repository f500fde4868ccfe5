package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

func TestFind_givesTheSameAsResolve(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{AAL: principal.AAL2, AMR: []string{"pwd", "otp"}, OrganizationID: w.organization("editor"), Role: "editor"})
		p, err := w.Find(t.Context(), in.Principal.SessionID)
		if err != nil || fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", in.Principal) {
			t.Fatalf("issued %+v\nfound  %+v\n%v", in.Principal, p, err)
		}
		if _, err := w.Find(t.Context(), uuid.New()); !errors.Is(err, session.ErrGone) {
			t.Errorf("an id of nothing: %v", err)
		}
		if err := w.Revoke(t.Context(), audit.Ref{Type: "system"}, "", p.UserID, p.SessionID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Find(t.Context(), in.Principal.SessionID); !errors.Is(err, session.ErrGone) {
			t.Errorf("a revoked session: %v", err)
		}
	})
}

// Being asked about keeps no session alive.
func TestFind_isNoActivity(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := w.issue(session.Grant{})
		for range 3 {
			w.advance(9 * time.Minute)
			if _, err := w.Find(t.Context(), in.Principal.SessionID); err != nil {
				t.Fatal(err)
			}
		}
		w.advance(4 * time.Minute) // 31 minutes since anybody used it
		if _, err := w.Find(t.Context(), in.Principal.SessionID); !errors.Is(err, session.ErrGone) {
			t.Errorf("found after its idle timeout: %v", err)
		}
		if w.resolves(in.Token) {
			t.Error("resolved after its idle timeout")
		}
	})
}
