package web_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/mux"
)

// notLookedAt are the addresses that show no page of their own: they send on, are for programs, or are the HTML of a mail.
var notLookedAt = []string{"/", "/login/callback/{name}", "/login/continue", "/login/link/status", "/.well-known/webauthn", "/dev/mail/{id}/html", "/healthz", "/readyz"}

// seen are the paths of the pages that shots has looked at, and the routes that there are.
var seen struct {
	sync.Mutex
	paths  map[string]bool
	routes map[string]bool
}

// sawPage notes that a page was looked at.
func sawPage(path string) {
	seen.Lock()
	defer seen.Unlock()
	if seen.paths == nil {
		seen.paths = map[string]bool{}
	}
	seen.paths[path] = true
}

// sawRoutes notes what a router serves to people.
func sawRoutes(r *mux.Router) error {
	seen.Lock()
	defer seen.Unlock()
	if seen.routes == nil {
		seen.routes = map[string]bool{}
	}
	return r.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err == nil && slices.Contains(methods, http.MethodGet) && path != "/assets/" {
			seen.routes[path] = true
		}
		return nil
	})
}

var variable = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// overlooked are the routes whose pages no test has looked at in a browser.
func overlooked() []string {
	seen.Lock()
	defer seen.Unlock()
	var out []string
	for route := range seen.routes {
		pattern := regexp.MustCompile("^" + variable.ReplaceAllString(regexp.QuoteMeta(route), "[^/]+") + "$")
		found := slices.Contains(notLookedAt, route)
		for path := range seen.paths {
			// A path such as /account/passkeys/new fits /account/passkeys/{id} too, and is a page of its own.
			found = found || pattern.MatchString(path) && (strings.Contains(route, "{") && !seen.routes[path] || path == route)
		}
		if !found {
			out = append(out, route)
		}
	}
	slices.Sort(out)
	return out
}

// everything runs the tests, and when all of them ran and are well, holds that every page there is was looked at.
type everything struct{ *testing.M }

// Run is testing.M's.
func (m everything) Run() int {
	code := m.M.Run()
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return code
		}
	}
	if left := overlooked(); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "no test looks at these pages in a browser (shots): %s\n", strings.Join(left, ", "))
		return 1
	}
	return code
}
