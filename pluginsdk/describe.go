package pluginsdk

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk/contract"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// describe makes the answer to Describe out of the manifest and of what the instances implement.
func describe(p Plugin, m Manifest) (*pluginv1.DescribeResponse, error) {
	schema, err := SettingsOf(p.settings)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	d := &pluginv1.DescribeResponse{
		Name: m.Name, Version: m.Version, SdkVersion: SDKVersion, Description: m.Description,
		EventPatterns: m.Events, AuditActions: m.AuditActions, Claims: m.Claims, Settings: schemaTo(schema), Storage: m.Storage != nil,
	}
	for _, seam := range seams(p) {
		d.Seams = append(d.Seams, seam.desc.ServiceName)
	}
	for _, list := range []struct {
		from []Grant
		to   *[]string
	}{{m.Requires, &d.RequiredGrants}, {m.Wants, &d.WantedGrants}} {
		for _, g := range list.from {
			if !g.known() {
				return nil, fmt.Errorf("manifest: there is no grant %q", g)
			}
			*list.to = append(*list.to, string(g))
		}
	}
	for _, r := range m.Routes {
		route, err := describeRoute(r, schema)
		if err != nil {
			return nil, err
		}
		d.Routes = append(d.Routes, route)
	}
	for _, q := range m.Questions {
		x := &pluginv1.GateQuestion{Name: string(q.Question), AllowOnError: q.AllowOnError}
		if q.Timeout > 0 {
			x.Timeout = durationpb.New(q.Timeout)
		}
		d.GateQuestions = append(d.GateQuestions, x)
	}
	for _, a := range m.Actions {
		if err := checkAction(m.Name, a); err != nil {
			return nil, err
		}
		outcomes := a.Outcomes
		if len(outcomes) == 0 {
			outcomes = []string{"success"}
		}
		d.Actions = append(d.Actions, &pluginv1.Action{
			Name: a.Name, Description: a.Description, Crud: a.CRUD, Outcomes: outcomes, Metadata: a.Metadata, Webhooks: a.Webhooks, Timeline: a.Timeline,
		})
	}
	for _, c := range m.Commands {
		d.Commands = append(d.Commands, &pluginv1.Command{Name: c.Name, Summary: c.Summary, Arguments: c.Arguments, Stdin: c.Stdin, Offline: c.Offline != nil})
	}
	if m.Texts != nil {
		for _, l := range m.Texts.All() {
			d.Catalogues = append(d.Catalogues, &pluginv1.Catalogue{Language: l.Code(), Messages: l.Plain()})
		}
	}
	if err := consistent(p, m); err != nil {
		return nil, err
	}
	if err := contract.CheckManifest(d); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return d, nil
}

// placeholder is a setting's name in a route's path.
var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

func describeRoute(r Route, schema Schema) (*pluginv1.Route, error) {
	for _, name := range placeholder.FindAllStringSubmatch(r.Path, -1) {
		if !slices.ContainsFunc(schema.Attributes, func(a Attribute) bool { return a.Name == name[1] && a.Type == "string" }) {
			return nil, fmt.Errorf("manifest: route %q names the setting %q, and there is none of that name that is a string", r.Path, name[1])
		}
	}
	if err := contract.CheckPath(placeholder.ReplaceAllString(r.Path, "/x")); err != nil {
		return nil, fmt.Errorf("manifest: route %q: %w", r.Path, err)
	}
	out := &pluginv1.Route{
		Path: r.Path, Title: r.Title, Section: pluginv1.Section(r.Section + 1), Access: accesses[r.Access], Applications: r.Applications,
		ServiceAccounts: r.ServiceAccounts, Scopes: r.Scopes, RequiredAal: r.AAL, MaxBodyBytes: r.MaxBody, MaxInFlight: count(r.MaxInFlight),
		Streaming: r.Streaming, CrossSite: pluginv1.CrossSite(r.CrossSite + 1), ClientCertificates: r.Certificates,
	}
	if r.MaxAge > 0 {
		out.MaxAge = durationpb.New(r.MaxAge)
	}
	return out, nil
}

var accesses = map[Access]pluginv1.Access{
	Public: pluginv1.Access_ACCESS_PUBLIC, SignedIn: pluginv1.Access_ACCESS_SIGNED_IN, Administrators: pluginv1.Access_ACCESS_ADMINISTRATOR,
	OrganizationAdministrators: pluginv1.Access_ACCESS_ORGANIZATION_ADMINISTRATOR, Programs: pluginv1.Access_ACCESS_PROGRAMS,
}

func checkAction(plugin string, a Action) error {
	switch {
	case !strings.HasPrefix(a.Name, plugin+"."):
		return fmt.Errorf("manifest: action %q must stand below %q", a.Name, plugin+".")
	case a.Description == "":
		return fmt.Errorf("manifest: action %q has no description", a.Name)
	case !slices.Contains([]string{"c", "r", "u", "d"}, a.CRUD):
		return fmt.Errorf("manifest: action %q must say c, r, u or d", a.Name)
	}
	for _, o := range a.Outcomes {
		if !slices.Contains([]string{"success", "failure", "error"}, o) {
			return fmt.Errorf("manifest: action %q can't have the outcome %q", a.Name, o)
		}
	}
	return nil
}

// consistent finds manifests that promise what the instances do not implement, and the other way round.
func consistent(p Plugin, m Manifest) error {
	for _, c := range []struct {
		promised bool
		has      bool
		what     string
	}{
		{len(m.Routes) > 0, is[Routes](p.instance), "Routes (an http.Handler)"},
		{len(m.Questions) > 0, is[Gate](p.instance), "Gate"},
		{len(m.Events) > 0, is[EventSink](p.instance), "EventSink"},
		{len(m.AuditActions) > 0, is[AuditSink](p.instance), "AuditSink"},
		{len(m.Claims) > 0, is[Claims](p.instance), "Claims"},
	} {
		if c.promised && !c.has {
			return fmt.Errorf("manifest: it names what needs %s, which %T does not implement", c.what, p.instance)
		}
	}
	if is[Settler](p.instance) && !is[Gate](p.instance) || is[MailChecker](p.instance) && !is[Mailer](p.instance) {
		return errors.New("manifest: a Settler is a Gate too, and a MailChecker a Mailer")
	}
	return checkCommands(m.Commands, is[Commands](p.instance))
}

// Seams are the full names of the gRPC services that the plugin offers.
func (p Plugin) Seams() []string {
	var out []string
	for _, s := range seams(p) {
		out = append(out, s.desc.ServiceName)
	}
	return out
}
