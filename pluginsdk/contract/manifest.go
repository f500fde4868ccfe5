package contract

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	codeForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	versionForm = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	dottedForm  = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`)
	patternForm = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`)
	grantForm   = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(:[A-Za-z0-9._~/*{}-]+)?$`)
	claimForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:/-]*$`)
	commandForm = regexp.MustCompile(`^[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?$`)
	segmentForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*$`)
	placeForm   = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)
)

// IsName reports whether s can be a plugin's name, or that of a setting: [a-z][a-z0-9_]{0,62}.
func IsName(s string) bool { return nameForm.MatchString(s) }

// IsVersion reports whether s is a semantic version of at most 64 characters, such as 1.2.3 or 2.0.0-rc.1.
func IsVersion(s string) bool { return len(s) <= 64 && versionForm.MatchString(s) }

// IsCode reports whether s can be the code of a refusal, for programs: [a-z][a-z0-9_]{0,63}.
func IsCode(s string) bool { return codeForm.MatchString(s) }

// Place finds the names of settings in a route's path: "{issuer_path}".
func Place() *regexp.Regexp { return placeForm }

// CheckPath says whether a route's path is one a plugin may have at all.
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") || path == "/" || len(path) > 128 {
		return errors.New("a route's path begins with a slash, names something and has at most 128 characters")
	}
	for i, seg := range strings.Split(path[1:], "/") {
		if seg == ".well-known" && i < strings.Count(path, "/")-1 { // RFC 8615, at the root or below an issuer's path
			continue
		}
		if !segmentForm.MatchString(seg) {
			return errors.New("a route's path is made of letters, digits, '.', '_', '~' and '-', without a slash at its end")
		}
	}
	return nil
}

// CheckManifest says what is wrong with an answer to Describe: names that could mean something where they are shown or compared, and more
// of anything than a plugin needs.
func CheckManifest(r *pluginv1.DescribeResponse) error {
	switch {
	case !IsName(r.GetName()):
		return fmt.Errorf("the manifest's name %.80q is not lower-case letters, digits and underscores", r.GetName())
	case !IsVersion(r.GetVersion()):
		return fmt.Errorf("the manifest's version %.64q is not a semantic version such as 1.2.3", r.GetVersion())
	case len(r.GetSdkVersion()) > 64 || len(r.GetDescription()) > 512 || strings.ContainsFunc(r.GetSdkVersion()+r.GetDescription(), func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("the manifest's description is not one line of at most 512 bytes")
	case len(r.GetRoutes()) > 32, len(r.GetSeams()) > 64, len(r.GetEventPatterns()) > 256,
		len(r.GetGateQuestions()) > 64, len(r.GetAuditActions()) > 256, len(r.GetClaims()) > 64,
		len(r.GetRequiredGrants()) > 64, len(r.GetWantedGrants()) > 64, len(r.GetActions()) > 512, len(r.GetCommands()) > 128, len(r.GetCatalogues()) > 64:
		return errors.New("the manifest is larger than any plugin's needs to be")
	}
	var names []string
	for _, list := range []struct {
		what  string
		form  *regexp.Regexp
		names []string
	}{
		{"event pattern", patternForm, r.GetEventPatterns()}, {"audit action", patternForm, r.GetAuditActions()}, {"claim", claimForm, r.GetClaims()},
		{"grant", grantForm, slices.Concat(r.GetRequiredGrants(), r.GetWantedGrants())}, {"question", dottedForm, each(r.GetGateQuestions(), (*pluginv1.GateQuestion).GetName)},
		{"action", dottedForm, each(r.GetActions(), (*pluginv1.Action).GetName)}, {"command", commandForm, each(r.GetCommands(), (*pluginv1.Command).GetName)},
	} {
		names = names[:0]
		for _, name := range list.names {
			if len(name) > 128 || !list.form.MatchString(name) {
				return fmt.Errorf("the manifest has %.80q, which is no name for one of its %ss", name, list.what)
			}
			if list.what != "grant" && slices.Contains(names, name) {
				return fmt.Errorf("the manifest has the %s %q twice", list.what, name)
			}
			names = append(names, name)
		}
	}
	for _, a := range r.GetActions() {
		if !strings.HasPrefix(a.GetName(), r.GetName()+".") {
			return fmt.Errorf("action %q must stand below %q", a.GetName(), r.GetName()+".")
		}
	}
	for _, route := range r.GetRoutes() {
		if err := CheckPath(placeForm.ReplaceAllString(route.GetPath(), "/x")); err != nil {
			return fmt.Errorf("route %.80q: %w", route.GetPath(), err)
		}
		if route.GetAccess() == pluginv1.Access_ACCESS_PROGRAMS && !route.GetApplications() && !route.GetServiceAccounts() {
			return fmt.Errorf("nobody gets to route %q", route.GetPath())
		}
	}
	routes := slices.Contains(r.GetSeams(), pluginv1.Routes_ServiceDesc.ServiceName)
	if len(r.GetRoutes()) > 0 && !routes {
		return fmt.Errorf("it declares routes but does not serve %s", pluginv1.Routes_ServiceDesc.ServiceName)
	}
	return nil
}

func each[T any](in []T, name func(T) string) []string {
	out := make([]string, 0, len(in))
	for _, x := range in {
		out = append(out, name(x))
	}
	return out
}
