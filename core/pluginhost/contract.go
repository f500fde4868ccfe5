package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// contracts are the versions of the plugin contract that this Sigra speaks, best first. It speaks the last two: when
// there is a v3, v1 goes.
func contracts() versions { return versions{"sigra.plugin.v1"} }

// versions are versions of the contract, best first.
type versions []string

// describe asks the plugin what it is, in the best version of the contract that both speak.
func (v versions) describe(ctx context.Context, conn grpc.ClientConnInterface, req *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, string, error) {
	req.Contracts = v
	for _, c := range v {
		resp := &pluginv1.DescribeResponse{}
		err := conn.Invoke(ctx, "/"+c+".Plugin/Describe", req, resp)
		if status.Code(err) != codes.Unimplemented {
			return resp, c, err
		}
	}
	return nil, "", v.strange(ctx, conn)
}

// strange says that the plugin speaks no contract of ours, and which it does.
func (v versions) strange(ctx context.Context, conn grpc.ClientConnInterface) error {
	ours := strings.Join(v, ", ")
	theirs := offered(ctx, conn)
	if len(theirs) == 0 {
		return &strangeError{fmt.Errorf("it serves no plugin contract at all; this Sigra speaks %s", ours)}
	}
	advice := "build it with a pluginsdk that fits this Sigra"
	if slices.Max(theirs) > slices.Max(v) {
		advice = "it needs a newer Sigra, or a build of it for this one"
	}
	return &strangeError{fmt.Errorf("it speaks %s, this Sigra speaks %s: %s", strings.Join(theirs, ", "), ours, advice)}
}

// strangeError is about a plugin that no start can bring to speak with this Sigra.
type strangeError struct{ error }

// offered lists the versions of the contract that the plugin serves. go-plugin has every plugin answer reflection;
// one that does not is only described less well.
func offered(ctx context.Context, conn grpc.ClientConnInterface) []string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil
	}
	req := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := errors.Join(stream.Send(req), stream.CloseSend()); err != nil {
		return nil
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range resp.GetListServicesResponse().GetService() {
		version, ok := strings.CutSuffix(s.GetName(), ".Plugin")
		if ok && strings.HasPrefix(version, "sigra.plugin.v") && len(out) < 8 {
			out = append(out, printable(clip(version, 64)))
		}
	}
	slices.Sort(out)
	return out
}
