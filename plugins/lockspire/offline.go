package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// checkCommand compares redirect URIs without a server. The exit status is 1 when one is refused.
func checkCommand(_ context.Context, call *pluginsdk.CommandCall) error {
	flags := call.Flags()
	var registered several
	flags.Var(&registered, "registered", "")
	native, development := flags.Bool("native", false, ""), flags.Bool("development", false, "")
	if err := flags.Parse(call.Arguments); err != nil {
		return err
	}
	if len(registered) == 0 || flags.NArg() == 0 {
		return errors.New("name what is registered with --registered, and the redirect URIs to compare")
	}
	type verdict struct {
		URI     string `json:"uri"`
		Allowed bool   `json:"allowed"`
		Why     string `json:"why"`
	}
	refused := false
	for _, r := range registered {
		if err := checkRedirect(r, *native, *development); err != nil {
			refused = true
			if err := tell(call, verdict{r, false, "can't be registered: " + err.Error()}, "refused  %s\n         %s\n", r, err.Error()); err != nil {
				return err
			}
		}
	}
	for _, asked := range flags.Args() {
		v := verdict{URI: asked, Why: "no registered URI is the same string"}
		for _, r := range registered {
			if matchRedirect(r, asked, *native) {
				v.Allowed, v.Why = true, "it is registered as "+r
			}
		}
		word := "allowed"
		if !v.Allowed {
			word, refused = "refused", true
		}
		if err := tell(call, v, "%s  %s\n         %s\n", word, asked, v.Why); err != nil {
			return err
		}
	}
	if refused {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// tell writes a value as JSON, or as text.
func tell(call *pluginsdk.CommandCall, v any, format string, args ...any) error {
	if call.JSON {
		return json.NewEncoder(call.Stdout).Encode(v)
	}
	_, err := fmt.Fprintf(call.Stdout, format, args...)
	return err
}

// explainCommand judges an authorization request as the server would, for a client that is described by flags.
func explainCommand(_ context.Context, call *pluginsdk.CommandCall) error {
	flags := call.Flags()
	c, err := clientFlags(flags, call.Arguments)
	if err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one request by its whole address")
	}
	u, err := url.Parse(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("the address can't be read: %w", err)
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("the query can't be read: %w", err)
	}
	c.ID = params.Get("client_id")
	type verdict struct {
		Answer      string `json:"answer"` // page, redirect, continue
		RedirectURI string `json:"redirect_uri,omitempty"`
		Error       string `json:"error,omitempty"`
		Why         string `json:"why"`
	}
	v := verdict{Answer: "continue", Why: "the request is right: the person signs in and is asked, where needed"}
	var page *pageError
	var redirect *clientError
	q, _, err := judge(params, func(string) (*Client, error) { return c, nil }, func(string) (string, error) { return "", nil })
	switch {
	case errors.As(err, &page):
		v = verdict{Answer: "page", Error: page.Code, Why: page.Why + "; nobody is sent anywhere"}
	case errors.As(err, &redirect):
		v = verdict{Answer: "redirect", RedirectURI: redirect.To.URI, Error: redirect.Code, Why: redirect.Why}
	case err != nil:
		return err
	default:
		v.RedirectURI = q.RedirectURI
	}
	if err := tell(call, v, "%s\n  error         %s\n  redirect URI  %s\n  why           %s\n", v.Answer, or(v.Error, "none"), or(v.RedirectURI, "none"), v.Why); err != nil {
		return err
	}
	if v.Answer != "continue" {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
