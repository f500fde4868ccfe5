package auth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/store"
)

func isCoded(t *testing.T, err error, code string) {
	t.Helper()
	if got := fault.From(err); got == nil || got.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func TestOwn(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.com", "a long password")
		p := in.Principal
		own := func() selfservice.Overview {
			t.Helper()
			o, err := w.Overview(w.ctx(), p)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		o := own()
		if o.Email != "ada@example.com" || !o.Password || o.SecondFactor || o.Required || o.PasskeyLimit != 20 || o.Browsers != 1 || o.Factors != (factor.Set{}) || o.Providers != nil {
			t.Errorf("a new account: %+v", o)
		}
		this, err := w.ThisDevice(w.ctx(), p, in.Device)
		if list, lerr := w.SelfService.Devices(w.ctx(), p); err != nil || lerr != nil || len(list) != 1 || list[0].ID != this {
			t.Errorf("this browser is %s of %+v (%v, %v)", this, list, err, lerr)
		}
		if other, err := w.ThisDevice(w.ctx(), p, "made up"); err != nil || other != uuid.Nil {
			t.Errorf("a token of nobody's: %s, %v", other, err)
		}

		enrollment, err := w.BeginTOTP(w.ctx(), p)
		if err != nil {
			t.Fatal(err)
		}
		app, err := w.Authenticator(w.ctx(), p)
		if err != nil || app.On || !app.Waiting || app.Secret.Secret.Reveal() != enrollment.Secret.Reveal() {
			t.Errorf("an app that waits: %+v, %v", app, err)
		}
		// Whoever sits down at the screen later learns no secret and changes nothing.
		w.advance(6 * time.Minute)
		if app, err := w.Authenticator(w.ctx(), p); err != nil || app.Waiting || app.Secret.Secret.Reveal() != "" {
			t.Errorf("the secret is shown without a fresh proof: %v", err)
		}
		isCoded(t, w.RequireRecentAuth(w.ctx(), p), "step_up_required")
		if has, err := w.HasPassword(w.ctx(), p); err != nil || !has {
			t.Errorf("the present password is proof enough: %v, %v", has, err)
		}
		up, err := w.StepUp(w.ctx(), p, factor.Proof{Method: factor.Password, Password: "a long password"})
		if err != nil {
			t.Fatal(err)
		}
		p = up.Principal
		if err := w.RequireRecentAuth(w.ctx(), p); err != nil {
			t.Error(err)
		}
		code, err := totp.GenerateCode(enrollment.Secret.Reveal(), w.now())
		if err != nil {
			t.Fatal(err)
		}
		if in, err := w.ConfirmTOTP(w.ctx(), p, code); err != nil || len(in.Codes) != 10 {
			t.Fatalf("%d codes, %v", len(in.Codes), err)
		}
		if app, err := w.Authenticator(w.ctx(), p); err != nil || !app.On || app.Waiting {
			t.Errorf("an app that counts: %+v, %v", app, err)
		}
		// Now one factor, which an older request may still speak of, is no longer proof enough.
		isCoded(t, w.RequireRecentAuth(w.ctx(), p), "step_up_required")
		if has, err := w.HasPassword(w.ctx(), p); !has {
			t.Error("no password")
		} else {
			isCoded(t, err, "step_up_required")
		}

		if err := w.db.Tx(w.ctx(), func(ctx context.Context, tx *store.Tx) error {
			for _, c := range []federation.Claims{
				{Provider: "one", Issuer: "https://one.example", Subject: "1"}, {Provider: "two", Issuer: "https://two.example", Subject: "1"}, {Provider: "one", Issuer: "https://one.example", Subject: "2"},
			} {
				if _, _, err := w.Logins.Link(ctx, tx, p.UserID, c); err != nil {
					return err
				}
			}
			return w.passwords.Erase(ctx, tx, p.UserID)
		}); err != nil {
			t.Fatal(err)
		}
		o = own()
		if o.Password || !o.SecondFactor || !o.Factors.TOTP || o.Factors.RecoveryCodes != 10 || !slices.Equal(o.Providers, []string{"one", "two"}) {
			t.Errorf("afterwards: %+v", o)
		}
		// Nobody looks into somebody else's account in their name.
		p.ImpersonatorID = uuid.New()
		_, err = w.Overview(w.ctx(), p)
		isCoded(t, err, "impersonated")
		_, err = w.Authenticator(w.ctx(), p)
		isCoded(t, err, "impersonated")
		_, err = w.Overview(w.ctx(), principal.Principal{})
		isCoded(t, err, "unauthenticated")
	})
}
