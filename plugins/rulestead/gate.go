package rulestead

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// Ask implements pluginsdk.Gate.
func (in *instance) Ask(_ context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	s, err := in.current()
	if err != nil {
		return pluginsdk.Answer{}, pluginsdk.Retryable(err)
	}
	question := string(a.Question)
	if !s.Gated(question) {
		return pluginsdk.Allow(), nil
	}
	d := s.Decide(question, asked{&a}, in.store.now())
	var ans pluginsdk.Answer
	switch d.Answer {
	case rule.Allow:
		ans = pluginsdk.Allow()
	case rule.StepUp:
		ans = pluginsdk.StepUp("aal2", d.Flag)
	default:
		ans = pluginsdk.Deny("rule_"+code(d.Flag), d.Message)
	}
	return ans.Explained(strconv.FormatInt(s.Version, 10), fmt.Sprintf("%s@%d", d.Flag, s.Version)), nil
}

// code makes a reason for programs of a flag's key.
func code(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return '_'
	}, key)
}

// asked is a question as attributes.
type asked struct{ a *pluginsdk.Ask }

// attributeNames are those that a question can have, for people.
var attributeNames = []string{
	"user.id", "user.email_domain", "user.administrator", "organization.id", "organization.role", "session.aal", "session.amr", "ip", "user_agent", "language",
	"device.id", "device.known", "device.trusted", "method", "provider", "via", "member.role", "member.kind", "client.id", "scopes", "audience",
	"route.scheme", "route.host", "route.method", "route.path", "route.rule", "user.<metadata>",
}

// Attribute implements rule.Attributes.
func (q asked) Attribute(name string) rule.Value {
	a, p := q.a, q.a.Principal
	switch name {
	case "ip":
		return rule.TextOf(a.Request.IP)
	case "user_agent":
		return rule.TextOf(a.Request.UserAgent)
	case "language":
		return rule.TextOf(a.Request.Language)
	case "user.id":
		if p != nil && p.UserID != "" {
			return rule.TextOf(p.UserID)
		}
		if a.Subject.Type == "user" {
			return rule.TextOf(a.Subject.ID)
		}
		return rule.Value{}
	case "user.email_domain":
		if d := a.EmailDomain(); d != "" {
			return rule.TextOf(d)
		}
		if p != nil {
			return rule.TextOf(p.Email[strings.LastIndexByte(p.Email, '@')+1:])
		}
		return rule.Value{}
	case "organization.id":
		if m := a.Member; m != nil {
			return rule.TextOf(m.OrganizationID)
		}
	}
	group, rest, _ := strings.Cut(name, ".")
	switch {
	case group == "device" && a.Device != nil:
		return device(a.Device, rest)
	case group == "route" && a.Route != nil:
		return route(a.Route, rest)
	case group == "member" && a.Member != nil:
		switch rest {
		case "role":
			return rule.TextOf(a.Member.Role)
		case "kind":
			return rule.TextOf(a.Member.Kind)
		}
	}
	if v := q.flow(name); v.Kind() != rule.Missing {
		return v
	}
	if p != nil {
		switch name {
		case "user.administrator":
			return rule.BoolOf(p.Administrator)
		case "organization.id":
			return rule.TextOf(p.OrganizationID)
		case "organization.role":
			return rule.TextOf(p.Role)
		case "session.aal":
			return rule.TextOf(p.AAL)
		case "session.amr":
			return rule.ListOf(p.AMR)
		}
	}
	if group == "user" {
		return rule.ValueOf(rule.Within(a.Attributes, rest)) // "relyra.department" is what Relyra says of the person
	}
	return rule.Value{}
}

func device(d *pluginsdk.Device, name string) rule.Value {
	switch name {
	case "id":
		return rule.TextOf(d.ID)
	case "known":
		return rule.BoolOf(d.Known)
	case "trusted":
		return rule.BoolOf(d.Trusted)
	}
	return rule.Value{}
}

func route(r *pluginsdk.RouteContext, name string) rule.Value {
	switch name {
	case "scheme":
		return rule.TextOf(r.Scheme)
	case "host":
		return rule.TextOf(r.Host)
	case "method":
		return rule.TextOf(r.Method)
	case "path":
		return rule.TextOf(r.Path)
	case "rule":
		return rule.TextOf(r.Rule)
	}
	return rule.Value{}
}

// flow gives what the question's own context says.
func (q asked) flow(name string) rule.Value {
	a := q.a
	switch name {
	case "method":
		switch {
		case a.Login != nil:
			return rule.TextOf(a.Login.Method)
		case a.StepUp != nil:
			return rule.TextOf(a.StepUp.Method)
		}
	case "provider":
		switch {
		case a.Login != nil:
			return rule.TextOf(a.Login.Provider)
		case a.Registration != nil:
			return rule.TextOf(a.Registration.Provider)
		}
	case "via":
		switch {
		case a.Member != nil:
			return rule.TextOf(a.Member.Via)
		case a.Registration != nil:
			return rule.TextOf(a.Registration.Via)
		}
	case "session.amr":
		if a.Login != nil {
			return rule.ListOf(a.Login.AMR)
		}
	case "client.id", "scopes", "audience":
		if t := a.Token; t != nil {
			switch name {
			case "client.id":
				return rule.TextOf(t.ClientID)
			case "audience":
				return rule.TextOf(t.Audience)
			}
			return rule.ListOf(t.Scopes)
		}
	}
	return rule.Value{}
}
