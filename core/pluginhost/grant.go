package pluginhost

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// serviceGrants are the host services and the grant that opens each; methodGrants has the methods that differ.
var serviceGrants = map[string]string{
	hostv1.Identity_ServiceDesc.ServiceName:  "identity.read",
	hostv1.Members_ServiceDesc.ServiceName:   "members.write",
	hostv1.Sessions_ServiceDesc.ServiceName:  "sessions.write",
	hostv1.Audit_ServiceDesc.ServiceName:     "audit.record",
	hostv1.AuditLog_ServiceDesc.ServiceName:  "audit.read",
	hostv1.Events_ServiceDesc.ServiceName:    eventsGrant,
	hostv1.Mail_ServiceDesc.ServiceName:      "mail.send",
	hostv1.Notices_ServiceDesc.ServiceName:   "notices.send",
	hostv1.Seal_ServiceDesc.ServiceName:      "seal.use",
	hostv1.Lease_ServiceDesc.ServiceName:     "lease.hold",
	hostv1.KV_ServiceDesc.ServiceName:        "kv.use",
	hostv1.Topics_ServiceDesc.ServiceName:    "topics.use",
	hostv1.RateLimit_ServiceDesc.ServiceName: "ratelimit.take",
	hostv1.Claims_ServiceDesc.ServiceName:    "claims.read",
	hostv1.Gates_ServiceDesc.ServiceName:     "gates.ask",
	hostv1.Domains_ServiceDesc.ServiceName:   "domains.read",
	hostv1.Links_ServiceDesc.ServiceName:     "links.use",
	hostv1.Directory_ServiceDesc.ServiceName: "directory.write",
	hostv1.Pages_ServiceDesc.ServiceName:     "pages.render",
}

var methodGrants = map[string]string{
	hostv1.Sessions_Resolve_FullMethodName:  "sessions.read",
	hostv1.Sessions_List_FullMethodName:     "sessions.read",
	hostv1.Sessions_Check_FullMethodName:    "sessions.read",
	hostv1.Mail_Report_FullMethodName:       "mail.report",
	hostv1.Mail_Catalogue_FullMethodName:    "mail.read",
	hostv1.Claims_Invalidate_FullMethodName: "claims.write",
	hostv1.Domains_Verify_FullMethodName:    "domains.write",
}

// What a plugin may claim of the sign-ins that it mints. They are for the operator to give: a manifest can want them, and only the block grants
// them, of a bundled plugin too.
const (
	assureGrant         = "sessions.assure"         // its word that two factors were shown counts
	administratorsGrant = "sessions.administrators" // it signs in administrators of Sigra
)

var operatorGrants = []string{assureGrant, administratorsGrant}

const (
	eventsGrant = "events.publish" // of types below the plugin's own name; with a scope, of those below that
	routesGrant = "routes.serve:"
	publicGrant = "routes.public:" // routes.serve for everybody, who is not signed in too
)

// seamGrants are what lets a plugin's seam be called. A gate's is its block, that of routes is above.
var seamGrants = map[string]string{
	pluginv1.AuditSink_ServiceDesc.ServiceName:    "audit.receive",
	pluginv1.Mailer_ServiceDesc.ServiceName:       "mail.deliver",
	pluginv1.LoginMethods_ServiceDesc.ServiceName: "login.offer",
	pluginv1.Subject_ServiceDesc.ServiceName:      "subject.answer",
	pluginv1.Logout_ServiceDesc.ServiceName:       "logout.follow",
	pluginv1.Commands_ServiceDesc.ServiceName:     "commands.run",
}

// The grants that have a scope for each thing that a manifest names.
const (
	rowsGrant   = "audit.receive"  // with an action or prefix: rows beside the catalogue's defaults
	typesGrant  = "events.receive" // host-emitted events
	claimsGrant = "claims.add"
)

// grantOf is the grant that opens a method, empty for one that this Sigra does not have.
func grantOf(method string) string {
	if g, ok := methodGrants[method]; ok {
		return g
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return serviceGrants[service]
}

// grantNames are all grants, sorted.
func grantNames() []string {
	out := append([]string{routesGrant + "/path", publicGrant + "/path", eventsGrant + ":prefix", rowsGrant + ":action", typesGrant + ":type", claimsGrant + ":name"}, operatorGrants...)
	for _, m := range []map[string]string{serviceGrants, methodGrants, seamGrants} {
		for _, g := range m {
			out = append(out, g)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var (
	eventPrefix = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	namedThings = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$`) // actions and types, and prefixes of them
)

// knownGrant reports whether there is such a grant for a service.
func knownGrant(name string) bool {
	if prefix, ok := strings.CutPrefix(name, eventsGrant+":"); ok {
		return eventPrefix.MatchString(prefix)
	}
	if base, scope, ok := strings.Cut(name, ":"); ok {
		return slices.Contains([]string{rowsGrant, typesGrant, claimsGrant}, base) && namedThings.MatchString(scope)
	}
	return slices.Contains(grantNames(), name)
}

// grants are what one plugin may do. The zero value allows nothing.
type grants struct {
	services []string // grant names, sorted
	routes   []string // paths
	public   []string // those of them that are for everybody
}

func (g grants) allows(grant string) bool {
	if grant == eventsGrant { // which types is looked at where they are known
		return slices.ContainsFunc(g.services, func(s string) bool { return s == grant || strings.HasPrefix(s, grant+":") })
	}
	return slices.Contains(g.services, grant)
}

// allowsEvent reports whether a plugin of a name may publish a type.
func (g grants) allowsEvent(plugin, typ string) bool {
	prefix, _, _ := strings.Cut(typ, ".")
	return slices.Contains(g.services, eventsGrant+":"+prefix) || prefix == plugin && slices.Contains(g.services, eventsGrant)
}

func (g grants) allowsRoute(r *pluginv1.Route) bool {
	return slices.Contains(g.routes, r.GetPath()) && (r.GetAccess() > pluginv1.Access_ACCESS_PUBLIC || slices.Contains(g.public, r.GetPath()))
}

// routeGrant is what lets a plugin serve a route.
func routeGrant(r *pluginv1.Route) string {
	if r.GetAccess() <= pluginv1.Access_ACCESS_PUBLIC {
		return publicGrant + r.GetPath()
	}
	return routesGrant + r.GetPath()
}

// list is the grants as a block would write them.
func (g grants) list() []string {
	out := slices.Clone(g.services)
	for _, r := range g.routes {
		if slices.Contains(g.public, r) {
			out = append(out, publicGrant+r)
		} else {
			out = append(out, routesGrant+r)
		}
	}
	return out
}

// parseGrants reads the grants of a block; unknown ones are errors that suggest the nearest.
func parseGrants(b config.Plugin) (grants, config.Diagnostics) {
	var g grants
	var diags config.Diagnostics
	for _, name := range b.Grants {
		path, public := strings.CutPrefix(name, publicGrant)
		serve := public
		if !public {
			path, serve = strings.CutPrefix(name, routesGrant)
		}
		if serve {
			if err := contract.CheckPath(path); err != nil {
				diags = append(diags, errorAt(b, b.At("grants"), "Invalid grant", fmt.Sprintf("%q: %v", name, err)))
				continue
			}
			if g.routes = append(g.routes, path); public {
				g.public = append(g.public, path)
			}
			continue
		}
		if !knownGrant(name) {
			diags = append(diags, b.Diagnose(b.At("grants"), config.Error, fmt.Sprintf("there is no grant %q", name),
				"The grants are "+strings.Join(grantNames(), ", ")+".", config.Suggest(name, grantNames())))
			continue
		}
		g.services = append(g.services, name)
	}
	slices.Sort(g.services)
	slices.Sort(g.routes)
	slices.Sort(g.public)
	g.services, g.routes, g.public = slices.Compact(g.services), slices.Compact(g.routes), slices.Compact(g.public)
	return g, diags
}

// settleGrants holds a manifest against its block. A bundled plugin gets exactly what its manifest names; an external
// one must have been granted all that it requires, and each path it serves.
func settleGrants(b config.Plugin, m *manifest) (grants, config.Diagnostics) {
	g, diags := parseGrants(b)
	if diags.HasErrors() {
		return g, diags
	}
	var required, wanted []string
	for _, name := range m.GetRequiredGrants() {
		if !knownGrant(name) {
			diags = append(diags, errorAt(b, b.Range, "Plugin needs a newer Sigra", fmt.Sprintf("Plugin %q requires the grant %s, which this version of Sigra does not have.", b.Name, printable(name))))
			continue
		}
		required = append(required, name)
	}
	for _, name := range m.GetWantedGrants() {
		if knownGrant(name) {
			wanted = append(wanted, name)
		}
	}
	if !b.External() {
		// Least privilege without ceremony: the manifest of a bundled plugin is part of this binary.
		all := slices.DeleteFunc(slices.Concat(required, wanted, m.seamGrants()), func(name string) bool { return slices.Contains(operatorGrants, name) && !g.allows(name) })
		out := grants{services: all}
		for _, r := range m.GetRoutes() {
			if out.routes = append(out.routes, r.GetPath()); r.GetAccess() <= pluginv1.Access_ACCESS_PUBLIC {
				out.public = append(out.public, r.GetPath())
			}
		}
		for _, list := range []*[]string{&out.services, &out.routes, &out.public} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
		return out, diags
	}
	var missing []string
	for _, name := range slices.Concat(required, m.seamGrants()) {
		if !slices.Contains(g.services, name) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	for _, r := range m.GetRoutes() {
		if !g.allowsRoute(r) {
			missing = append(missing, routeGrant(r))
		}
	}
	diags = append(diags, wider(b, m)...)
	if len(missing) > 0 {
		line := slices.DeleteFunc(slices.Concat(g.list(), missing), func(have string) bool {
			path, ok := strings.CutPrefix(have, routesGrant)
			return ok && slices.Contains(missing, publicGrant+path)
		})
		slices.Sort(line)
		line = slices.Compact(line)
		for i, s := range line {
			line[i] = fmt.Sprintf("%q", s)
		}
		diags = append(diags, errorAt(b, b.At("grants"), "Missing grants", fmt.Sprintf(
			"Plugin %q needs %s. In its block write:\n\n  grants = [%s]", b.Name, strings.Join(missing, ", "), strings.Join(line, ", "))))
	}
	return g, diags
}
