package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/proto"
)

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

// routePlace is the name of a setting in a route's path.
var routePlace = contract.Place()

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
			if err := contract.CheckPath(paths[i]); err != nil {
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
	if err := contract.CheckManifest(r); err != nil {
		return nil, nil, errors.New(printable(err.Error()))
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
	return &manifest{r}, unknown, nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
