package pluginhost

import (
	"context"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// dispenser is what go-plugin asks for instead of handing out the connection.
type dispenser struct {
	goplugin.NetRPCUnsupportedPlugin
}

type dispensed struct {
	broker *goplugin.GRPCBroker
	conn   *grpc.ClientConn
}

func (*dispenser) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (*dispenser) GRPCClient(_ context.Context, b *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return &dispensed{b, c}, nil
}

// deafBroker keeps the host's broker from hearing the plugin. The host never dials what a plugin offers over the
// broker, and each announcement would cost it a goroutine for five seconds: a way to exhaust it.
func deafBroker(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := next(ctx, desc, cc, method, opts...)
	if err != nil || method != "/plugin.GRPCBroker/StartStream" {
		return s, err
	}
	return deafStream{s}, nil
}

type deafStream struct{ grpc.ClientStream }

// RecvMsg swallows messages until the stream ends.
func (s deafStream) RecvMsg(m any) error {
	for {
		if err := s.ClientStream.RecvMsg(m); err != nil {
			return err
		}
	}
}

// quiet keeps what go-plugin itself has to say out of the log unless somebody traces: the supervisor reports starts,
// ends and failures once, with their reason.
func quiet(log hclog.Logger) hclog.Logger {
	if log.IsTrace() {
		return log.Named("go-plugin")
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: discard{}})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
