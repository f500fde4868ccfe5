package pluginhost

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/proto"
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
	out := append([]string{routesGrant + "/path", eventsGrant + ":prefix"}, operatorGrants...)
	for _, m := range []map[string]string{serviceGrants, methodGrants} {
		for _, g := range m {
			out = append(out, g)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var eventPrefix = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// knownGrant reports whether there is such a grant for a service.
func knownGrant(name string) bool {
	if prefix, ok := strings.CutPrefix(name, eventsGrant+":"); ok {
		return eventPrefix.MatchString(prefix)
	}
	return slices.Contains(grantNames(), name)
}

// grants are what one plugin may do. The zero value allows nothing.
type grants struct {
	services []string // grant names, sorted
	routes   []string // paths
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

func (g grants) allowsRoute(path string) bool { return slices.Contains(g.routes, path) }

// list is the grants as a block would write them.
func (g grants) list() []string {
	out := slices.Clone(g.services)
	for _, r := range g.routes {
		out = append(out, routesGrant+r)
	}
	return out
}

// parseGrants reads the grants of a block; unknown ones are errors that suggest the nearest.
func parseGrants(b config.Plugin) (grants, config.Diagnostics) {
	var g grants
	var diags config.Diagnostics
	for _, name := range b.Grants {
		if path, ok := strings.CutPrefix(name, routesGrant); ok {
			if err := checkPath(path); err != nil {
				diags = append(diags, errorAt(b, b.At("grants"), "Invalid grant", fmt.Sprintf("%q: %v", name, err)))
				continue
			}
			g.routes = append(g.routes, path)
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
	g.services, g.routes = slices.Compact(g.services), slices.Compact(g.routes)
	return g, diags
}

// settleGrants holds a manifest against its block. A bundled plugin gets exactly what its manifest names; an external
// one must have been granted all that it requires, and each path it serves.
func settleGrants(b config.Plugin, m *manifest) (grants, config.Diagnostics) {
	g, diags := parseGrants(b)
	if diags.HasErrors() {
		return g, diags
	}
	var required, wanted, paths []string
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
	for _, r := range m.GetRoutes() {
		paths = append(paths, r.GetPath())
	}
	if !b.External() {
		// Least privilege without ceremony: the manifest of a bundled plugin is part of this binary.
		all := slices.DeleteFunc(slices.Concat(required, wanted), func(name string) bool { return slices.Contains(operatorGrants, name) && !g.allows(name) })
		slices.Sort(all)
		slices.Sort(paths)
		return grants{services: slices.Compact(all), routes: slices.Compact(paths)}, diags
	}
	var missing []string
	for _, name := range required {
		if !slices.Contains(g.services, name) {
			missing = append(missing, name)
		}
	}
	for _, p := range paths {
		if !g.allowsRoute(p) {
			missing = append(missing, routesGrant+p)
		}
	}
	if len(missing) > 0 {
		line := slices.Concat(g.list(), missing)
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

var segmentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*$`)

// checkPath says whether a route's path is one a plugin may have at all.
func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") || path == "/" || len(path) > 128 {
		return fmt.Errorf("a route's path begins with a slash, names something and has at most 128 characters")
	}
	for i, seg := range strings.Split(path[1:], "/") {
		if seg == ".well-known" && i < strings.Count(path, "/")-1 { // RFC 8615, at the root or below an issuer's path
			continue
		}
		if !segmentPattern.MatchString(seg) {
			return fmt.Errorf("a route's path is made of letters, digits, '.', '_', '~' and '-', without a slash at its end")
		}
	}
	return nil
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// manifest is a Describe answer that has been looked over.
type manifest struct {
	*pluginv1.DescribeResponse
}

var contractSeams = []string{
	pluginv1.AuditSink_ServiceDesc.ServiceName, pluginv1.EventSink_ServiceDesc.ServiceName, pluginv1.Mailer_ServiceDesc.ServiceName,
	pluginv1.Gate_ServiceDesc.ServiceName, pluginv1.Routes_ServiceDesc.ServiceName, pluginv1.LoginMethods_ServiceDesc.ServiceName,
	pluginv1.Claims_ServiceDesc.ServiceName, pluginv1.Subject_ServiceDesc.ServiceName, pluginv1.Logout_ServiceDesc.ServiceName,
	pluginv1.Commands_ServiceDesc.ServiceName,
}

// question is what the manifest says of a question; nil: it does not answer it.
func (m *manifest) question(name string) *pluginv1.GateQuestion {
	if m == nil {
		return nil
	}
	for _, q := range m.GetGateQuestions() {
		if q.GetName() == name {
			return q
		}
	}
	return nil
}

// questions are the names of those it answers.
func (m *manifest) questions() []string {
	var out []string
	for _, q := range m.GetGateQuestions() {
		out = append(out, printable(clip(q.GetName(), 64)))
	}
	return out
}

// answers are the questions with what the plugin says of its failing, for people. The block decides.
func (m *manifest) answers() []string {
	out := m.questions()
	for i, q := range m.GetGateQuestions() {
		if q.GetAllowOnError() {
			out[i] += " (allowed where it fails)"
		}
	}
	return out
}

// routePlace is the name of a setting in a route's path.
var routePlace = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)

// paths are those of the routes under some settings.
func (m *manifest) paths(settings []byte) []string {
	var values map[string]any
	_ = json.Unmarshal(settings, &values) // made by decodeSettings
	var out []string
	for _, r := range m.GetRoutes() {
		out = append(out, routePlace.ReplaceAllStringFunc(r.GetPath(), func(place string) string {
			text, _ := values[place[1:len(place)-1]].(string)
			return strings.TrimSuffix(text, "/")
		}))
	}
	return out
}

// settle fills the settings that the routes' paths name in. The manifest of a process that is not configured yet is told so once.
func (m *manifest) settle(b config.Plugin, settings []byte) (*manifest, config.Diagnostics) {
	paths := m.paths(settings)
	out := &manifest{proto.Clone(m.DescribeResponse).(*pluginv1.DescribeResponse)}
	var diags config.Diagnostics
	for i, r := range out.GetRoutes() {
		if routePlace.MatchString(r.GetPath()) {
			if err := checkPath(paths[i]); err != nil {
				name := routePlace.FindString(r.GetPath())
				diags = append(diags, errorAt(b, b.SettingRange(name[1:len(name)-1]), "Path can't be served", fmt.Sprintf("It makes the path %q: %v.", printable(paths[i]), err)))
			}
		}
		r.Path = paths[i]
	}
	return out, diags
}

func (m *manifest) offers(service string) bool {
	return m != nil && slices.Contains(m.GetSeams(), service)
}

// checkManifest refuses a Describe answer the host can't work with. Unknown seams are returned as warnings: a plugin
// built for a newer contract may offer more than this host asks for.
func checkManifest(r *pluginv1.DescribeResponse) (m *manifest, unknown []string, err error) {
	switch {
	case !namePattern.MatchString(r.GetName()):
		return nil, nil, fmt.Errorf("the manifest's name %q is not lower-case letters, digits and underscores", printable(clip(r.GetName(), 80)))
	case r.GetVersion() == "" || len(r.GetVersion()) > 64:
		return nil, nil, fmt.Errorf("the manifest has no version, or one of more than 64 characters")
	case len(r.GetDescription()) > 512, len(r.GetRoutes()) > 32, len(r.GetSeams()) > 64, len(r.GetEventPatterns()) > 256,
		len(r.GetGateQuestions()) > 64, len(r.GetAuditActions()) > 256, len(r.GetClaims()) > 64,
		len(r.GetRequiredGrants()) > 64, len(r.GetWantedGrants()) > 64, len(r.GetActions()) > 512, len(r.GetCommands()) > 128, len(r.GetCatalogues()) > 64:
		return nil, nil, fmt.Errorf("the manifest is larger than any plugin's needs to be")
	}
	known := 0
	for _, s := range r.GetSeams() {
		if slices.Contains(contractSeams, s) {
			known++
			continue
		}
		unknown = append(unknown, printable(clip(s, 120)))
	}
	if known == 0 && len(unknown) > 0 {
		return nil, unknown, fmt.Errorf("it offers %s; this Sigra speaks %s", strings.Join(unknown, ", "), strings.Join(contractSeams, ", "))
	}
	for _, route := range r.GetRoutes() {
		if err := checkPath(routePlace.ReplaceAllString(route.GetPath(), "/x")); err != nil {
			return nil, unknown, fmt.Errorf("route %q: %w", printable(clip(route.GetPath(), 80)), err)
		}
	}
	if len(r.GetRoutes()) > 0 && !slices.Contains(r.GetSeams(), pluginv1.Routes_ServiceDesc.ServiceName) {
		return nil, unknown, fmt.Errorf("it declares routes but does not serve %s", pluginv1.Routes_ServiceDesc.ServiceName)
	}
	return &manifest{r}, unknown, nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
