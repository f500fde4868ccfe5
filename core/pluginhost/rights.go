package pluginhost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// seamGrants are what the manifest's seams, and the rows, events and claims that it names, need.
func (m *manifest) seamGrants() []string {
	var out []string
	for _, s := range m.GetSeams() {
		if g := seamGrants[s]; g != "" {
			out = append(out, g)
		}
	}
	for _, list := range []struct {
		grant, seam string
		names       []string
	}{
		{rowsGrant, pluginv1.AuditSink_ServiceDesc.ServiceName, m.GetAuditActions()}, {typesGrant, pluginv1.EventSink_ServiceDesc.ServiceName, m.GetEventPatterns()},
		{claimsGrant, pluginv1.Claims_ServiceDesc.ServiceName, m.GetClaims()},
	} {
		if m.offers(list.seam) {
			for _, name := range list.names {
				out = append(out, list.grant+":"+name)
			}
		}
	}
	return out
}

// accessRanks are the ways into a route, from the few to everybody.
var accessRanks = []pluginv1.Access{
	pluginv1.Access_ACCESS_PROGRAMS, pluginv1.Access_ACCESS_ADMINISTRATOR, pluginv1.Access_ACCESS_ORGANIZATION_ADMINISTRATOR, pluginv1.Access_ACCESS_SIGNED_IN, pluginv1.Access_ACCESS_PUBLIC,
}

// rights are everything that a manifest asks for, as the lock file has it. Of two manifests one is wider if it has a right more.
func (m *manifest) rights() []string {
	out := slices.Concat(m.GetRequiredGrants(), m.GetWantedGrants(), m.seamGrants())
	add := func(when bool, name, value string) {
		if when {
			out = append(out, name+":"+value)
		}
	}
	for _, r := range m.GetRoutes() {
		for _, a := range accessRanks {
			add(true, "routes."+accessName(a), r.GetPath())
			if a == max(r.GetAccess(), pluginv1.Access_ACCESS_PUBLIC) {
				break
			}
		}
		add(r.GetApplications(), "routes.applications", r.GetPath())
		add(r.GetServiceAccounts(), "routes.service_accounts", r.GetPath())
		add(r.GetCrossSite() == pluginv1.CrossSite_CROSS_SITE_ANONYMOUS, "routes.cross_site", r.GetPath())
		add(r.GetCrossSite() == pluginv1.CrossSite_CROSS_SITE_MACHINE, "routes.machine", r.GetPath())
		add(r.GetClientCertificates(), "routes.certificates", r.GetPath())
	}
	for _, q := range m.GetGateQuestions() {
		add(true, "gates.answer", q.GetName())
	}
	for _, a := range m.GetActions() {
		add(true, "audit.record", a.GetName())
	}
	for _, c := range m.GetCommands() {
		add(true, "commands.run", c.GetName())
	}
	if m.GetStorage() {
		out = append(out, "storage")
	}
	for i := range out {
		out[i] = printable(clip(out[i], 200))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wider holds a manifest against what the operator accepted of it, where the lock file has that.
func wider(b config.Plugin, m *manifest) config.Diagnostics {
	if b.Accepted == nil || b.InsecureUnpinned {
		return nil
	}
	more := slices.DeleteFunc(m.rights(), func(right string) bool { return slices.Contains(b.Accepted, right) })
	if len(more) == 0 {
		return nil
	}
	return config.Diagnostics{errorAt(b, b.Range, "Plugin asks for more than was accepted", fmt.Sprintf(
		"Plugin %[1]q now asks for %[2]s, which the lock file does not have. If that is as it should be, accept it and reload:\n\n  sigra plugin lock %[1]s", b.Name, strings.Join(more, ", ")))}
}

// Rights starts an external plugin only as far as to hear what it asks for, and stops it; nothing is granted or configured. cfg needs
// DataDir and Version only. It is what the lock file is to say of the plugin.
func Rights(ctx context.Context, cfg Config, b config.Plugin) (rights []string, err error) {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	h := &Host{cfg: cfg, log: cfg.Logger, now: time.Now, contracts: contracts(), timing: defaultTiming()}
	h.guard = newGuard(h)
	if h.metrics, err = newMetrics(nil); err != nil {
		return nil, err
	}
	if h.processes, err = process.New(process.Config{DataDir: cfg.DataDir, Logger: cfg.Logger, Killed: func(string, string) {}}); err != nil {
		return nil, err
	}
	defer h.wg.Wait()
	in, err := h.launch(ctx, b, h.log, process.NewLog(h.log, time.Now, func(int) {}), func() {})
	if err != nil {
		return nil, err
	}
	defer in.destroy()
	return in.manifest.rights(), nil
}
