package config

import (
	"regexp"
	"strings"
	"time"
)

// The values of AccessRule.Allow.
const (
	AllowPublic   = "public"    // everybody
	AllowSignedIn = "signed_in" // who has a session
	AllowNobody   = "nobody"
)

// AccessRule says who gets to some pages of an application, for a proxy that asks at /auth/verify. The first rule that matches counts.
type AccessRule struct {
	Name         string   // the label
	Hosts        []string // empty: any
	Paths        []string // empty: any
	Methods      []string // empty: any
	Allow        string
	AAL          string        // "aal2", or empty
	MaxAge       time.Duration // 0: any
	Organization string        // id or slug; empty: any
	Roles        []string      // empty: any
	AskPlugins   bool
}

func readAccess(b *block, label string) AccessRule {
	r := AccessRule{Name: label, Allow: AllowSignedIn, AskPlugins: true}
	r.Hosts = b.texts("hosts", "app.example.com", accessHost)
	r.Paths = b.texts("paths", "/admin/*", accessPath)
	r.Methods = b.texts("methods", "GET", accessMethod)
	b.choice("allow", &r.Allow, AllowPublic, AllowSignedIn, AllowNobody)
	b.choice("aal", &r.AAL, "aal1", "aal2")
	if r.AAL == "aal1" {
		r.AAL = "" // what every session has
	}
	b.duration("max_age", &r.MaxAge, time.Minute, 30*day, "")
	b.text("organization", &r.Organization, "acme", accessOrganization)
	r.Roles = b.texts("roles", "admin", roleName)
	b.boolean("ask_plugins", &r.AskPlugins)
	return r
}

var (
	accessName             = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	accessHostForm         = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	accessOrganizationForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

func checkAccessName(s string) *problem {
	if !accessName.MatchString(s) {
		return &problem{is: "is no name for a rule", want: "A name has lower-case letters, digits, - and _ and begins with a letter."}
	}
	return nil
}

func accessHost(s string) (string, *problem) {
	if s = strings.ToLower(s); !accessHostForm.MatchString(s) {
		return "", &problem{is: "has an entry that is no host", want: "Write a name such as app.example.com, without scheme, port and path; *.example.com is any one name before it."}
	}
	return s, nil
}

func accessPath(s string) (string, *problem) {
	folder := strings.TrimSuffix(s, "/*")
	if s == "" || s[0] != '/' || strings.ContainsAny(folder, "*?#%;\\") || strings.Contains(folder, "//") || strings.Contains(folder+"/", "/../") || strings.Contains(folder+"/", "/./") {
		return "", &problem{is: "has an entry that is no path", want: "Write a path such as /admin, or /admin/* with all below it, unescaped and without a query."}
	}
	return s, nil
}

func accessMethod(s string) (string, *problem) {
	s = strings.ToUpper(s)
	if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return "", &problem{is: "has an entry that is no method", want: "Write a method such as GET or POST. GET includes HEAD."}
	}
	return s, nil
}

func accessOrganization(s string) (string, *problem) {
	if len(s) > 64 || !accessOrganizationForm.MatchString(s) {
		return "", &problem{is: "is no organization", want: "Write its id or its slug."}
	}
	return s, nil
}
