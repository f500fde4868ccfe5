package pluginhost_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// otherworldly is a plugin of another version of the contract.
type otherworldly struct {
	goplugin.NetRPCUnsupportedPlugin
	versions []string
}

func (o *otherworldly) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	for _, v := range o.versions {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: v + ".Plugin", HandlerType: (*any)(nil)}, o)
	}
	return nil
}

func (*otherworldly) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func serveOther(versions ...string) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: pluginsdk.Handshake(), Plugins: goplugin.PluginSet{pluginsdk.PluginKey: &otherworldly{versions: versions}}, GRPCServer: goplugin.DefaultGRPCServer,
	})
}

func TestContract_strangersAreToldWhatBothSpeak(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"newerplugin":   "it speaks sigra.plugin.v2, sigra.plugin.v3, this Sigra speaks sigra.plugin.v1: it needs a newer Sigra, or a build of it for this one",
		"olderplugin":   "it speaks sigra.plugin.v0, this Sigra speaks sigra.plugin.v1: build it with a pluginsdk that fits this Sigra",
		"foreignplugin": "it serves no plugin contract at all; this Sigra speaks sigra.plugin.v1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newHost(t, name)
			f.apply(fmt.Sprintf("plugin %q {}", name))
			if info := f.wait(name, pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, want) {
				t.Errorf("it is %s: %s\nwant %s", info.State, info.Detail, want)
			}
		})
	}
}

// A Sigra of the future speaks its last two versions: a plugin of the older of them works, one that is older still is told.
func TestContract_theLastTwoVersionsAreSpoken(t *testing.T) {
	t.Parallel()
	next := newHost(t, "routed")
	next.SetContracts("sigra.plugin.v2", "sigra.plugin.v1")
	next.apply(`plugin "routed" {}`)
	if info := next.wait("routed", pluginhost.Ready); info.Contract != "sigra.plugin.v1" {
		t.Errorf("they speak %s", info.Contract)
	}
	later := newHost(t, "routed")
	later.SetContracts("sigra.plugin.v3", "sigra.plugin.v2")
	later.apply(`plugin "routed" {}`)
	want := "it speaks sigra.plugin.v1, this Sigra speaks sigra.plugin.v3, sigra.plugin.v2: build it with a pluginsdk that fits this Sigra"
	if info := later.wait("routed", pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, want) {
		t.Errorf("it is %s: %s\nwant %s", info.State, info.Detail, want)
	}
}
