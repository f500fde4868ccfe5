package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// LoginMethods asks plugins for the ways to sign in that they have for an address; no plugin learns more of it than its domain.
type LoginMethods interface {
	LoginMethods(ctx context.Context, email, returnTo string) ([]LoginMethod, error)
}

// LoginMethod is one way to sign in.
type LoginMethod struct {
	Plugin    string `json:"plugin" doc:"The plugin that has it." example:"relyra"`
	ID        string `json:"id" doc:"What the plugin calls it."`
	Label     string `json:"label" doc:"What to write on a button." example:"Acme"`
	URL       string `json:"url" doc:"Where to send the browser: a path of this Sigra." example:"/relyra/saml/0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11/login"`
	Exclusive bool   `json:"exclusive,omitempty" doc:"The organization wants no other way to be offered."`
}

// LoginMethodList is what plugins offer.
type LoginMethodList struct {
	Methods []LoginMethod `json:"methods" doc:"None: there are the ways that everybody has."`
}

type loginMethodsInput struct {
	Body struct {
		Email    string `json:"email,omitempty" maxLength:"320" doc:"Whose ways to sign in. Left out: those for everybody." example:"ada@acme.example"`
		ReturnTo string `json:"return_to,omitempty" maxLength:"2048" doc:"Where to go after signing in, as on the sign-in page."`
	} `nameHint:"LoginMethodsQuestion"`
}

type loginMethods struct{ ways LoginMethods }

// Mount adds the operation.
func (d loginMethods) Mount(k *kit) {
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/methods", id: "find-login-methods", tag: "sign-in", off: d.ways == nil,
		limit: ratelimit.General, access: endpoint.Anyone, maxBody: 8 << 10,
		summary:     "Find ways to sign in",
		description: "What plugins offer for an address, such as the single sign-on of the organization that has proven its domain. It says nothing of whether the address has an account.",
		ok:          "What there is beside the ways that everybody has.",
	}, func(ctx context.Context, _ asker, in *loginMethodsInput) (*struct{ Body LoginMethodList }, error) {
		email := in.Body.Email
		if email != "" {
			var err error
			if email, err = account.ParseEmail(email); err != nil {
				return nil, fault.From(err).At("body.email")
			}
		}
		found, err := d.ways.LoginMethods(ctx, email, in.Body.ReturnTo)
		if err != nil {
			return nil, err
		}
		return &struct{ Body LoginMethodList }{LoginMethodList{Methods: append([]LoginMethod{}, found...)}}, nil
	})
}
