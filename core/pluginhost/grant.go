package pluginhost

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// services are the host services and the grant that opens each: one grant, one service.
var services = []struct{ grant, service string }{
	{"identity.read", hostv1.Identity_ServiceDesc.ServiceName},
	{"sessions.write", hostv1.Sessions_ServiceDesc.ServiceName},
	{"audit.record", hostv1.Audit_ServiceDesc.ServiceName},
	{"audit.read", hostv1.AuditLog_ServiceDesc.ServiceName},
	{"events.publish", hostv1.Events_ServiceDesc.ServiceName},
	{"mail.send", hostv1.Mail_ServiceDesc.ServiceName},
	{"seal", hostv1.Seal_ServiceDesc.ServiceName},
	{"lease", hostv1.Lease_ServiceDesc.ServiceName},
	{"kv", hostv1.KV_ServiceDesc.ServiceName},
	{"pages", hostv1.Pages_ServiceDesc.ServiceName},
}

const routesGrant = "routes:"

func grantOf(service string) string {
	for _, s := range services {
		if s.service == service {
			return s.grant
		}
	}
	return ""
}

func serviceOf(grant string) string {
	for _, s := range services {
		if s.grant == grant {
			return s.service
		}
	}
	return ""
}

func grantNames() []string {
	out := make([]string, 0, len(services)+1)
	for _, s := range services {
		out = append(out, s.grant)
	}
	return append(out, routesGrant+"/path")
}

// grants are what one plugin may do. The zero value allows nothing.
type grants struct {
	services []string // grant names, sorted
	routes   []string // paths
}

func (g grants) allows(grant string) bool { return slices.Contains(g.services, grant) }

func (g grants) allowsRoute(path string) bool { return slices.Contains(g.routes, path) }

// list is the grants as a block would write them.
func (g grants) list() []string {
	out := slices.Clone(g.services)
	for _, r := range g.routes {
		out = append(out, routesGrant+r)
	}
	return out
}

// grpcServices are the full service names behind the grants, for Configure.
func (g grants) grpcServices() []string {
	out := make([]string, 0, len(g.services))
	for _, name := range g.services {
		out = append(out, serviceOf(name))
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
		if serviceOf(name) == "" {
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
	for _, s := range m.GetRequiredServices() {
		name := grantOf(s)
		if name == "" {
			diags = append(diags, errorAt(b, b.Range, "Plugin needs a newer Sigra", fmt.Sprintf("Plugin %q requires the host service %s, which this version of Sigra does not have.", b.Name, printable(s))))
			continue
		}
		required = append(required, name)
	}
	for _, s := range m.GetWantedServices() {
		if name := grantOf(s); name != "" {
			wanted = append(wanted, name)
		}
	}
	for _, r := range m.GetRoutes() {
		paths = append(paths, r.GetPath())
	}
	if !b.External() {
		// Least privilege without ceremony: the manifest of a bundled plugin is part of this binary.
		all := slices.Concat(required, wanted)
		slices.Sort(all)
		slices.Sort(paths)
		return grants{services: slices.Compact(all), routes: slices.Compact(paths)}, diags
	}
	var missing []string
	for _, name := range required {
		if !g.allows(name) {
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
		if seg == ".well-known" && i == 0 && strings.Count(path, "/") > 1 {
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
	pluginv1.Claims_ServiceDesc.ServiceName,
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
		len(r.GetRequiredServices()) > 64, len(r.GetWantedServices()) > 64:
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
		if err := checkPath(route.GetPath()); err != nil {
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
