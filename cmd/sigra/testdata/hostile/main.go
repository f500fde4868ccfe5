// Command hostile is a plugin whose only aim is to do harm. The name of its file, "hostile-" and what it is to do, chooses how.
package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// hostile is a plugin without the SDK, whose only aim is to do harm in one way. It keeps no lifeline and obeys nothing.
type hostile struct {
	goplugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedAuditSinkServer
	pluginv1.UnimplementedRoutesServer
	pluginv1.UnimplementedGateServer
	what   string
	broker *goplugin.GRPCBroker
	host   *grpc.ClientConn
}

func main() {
	what := strings.TrimPrefix(filepath.Base(os.Args[0]), "hostile-")
	p := &hostile{what: what}
	handshake := pluginsdk.Handshake()
	options := goplugin.DefaultGRPCServer
	switch what {
	case "noisy_start":
		fmt.Println("Hello, I print before I am asked to.")
		time.Sleep(time.Minute)
	case "endless_start": // a line that never ends
		for {
			_, _ = os.Stdout.WriteString(strings.Repeat("x", 1<<16))
		}
	case "crash_start":
		fmt.Fprintln(os.Stderr, "panic: no reason at all\n\ngoroutine 1 [running]:")
		os.Exit(7)
	case "older_protocol":
		handshake.ProtocolVersion = 0
	case "newer_protocol":
		handshake.ProtocolVersion = 2
	case "garbage":
		options = func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.ForceServerCodecV2(noise{}))...)
		}
	}
	goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: handshake, Plugins: goplugin.PluginSet{pluginsdk.PluginKey: p}, GRPCServer: options})
	if what == "ignore_stop" {
		time.Sleep(time.Minute)
	}
}

func (p *hostile) GRPCServer(b *goplugin.GRPCBroker, s *grpc.Server) error {
	p.broker = b
	pluginv1.RegisterPluginServer(s, p)
	pluginv1.RegisterAuditSinkServer(s, p)
	pluginv1.RegisterRoutesServer(s, p)
	pluginv1.RegisterGateServer(s, p)
	return nil
}

func (p *hostile) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("no client")
}

// die writes what a Go program does that panics; go-plugin has put a pipe of its own in the place of os.Stderr by then.
func die(why string) {
	_, _ = syscall.Write(2, []byte("panic: "+why+"\n\ngoroutine 1 [running]:\n"))
	os.Exit(2)
}

// at does what the plugin is there for when it is asked for the call of that name.
func (p *hostile) at(call string) {
	switch p.what {
	case "hang_" + call:
		time.Sleep(time.Hour)
	case "crash_" + call:
		die("crash in " + call)
	}
}

func (p *hostile) Describe(ctx context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	var err error
	if p.host, err = p.broker.Dial(r.GetHostBrokerId()); err != nil {
		return nil, err
	}
	p.at("describe")
	out := &pluginv1.DescribeResponse{
		Name: r.GetInstance(), Version: "1.0.0", Seams: []string{"sigra.plugin.v1.Routes"},
		Routes: []*pluginv1.Route{{Path: "/" + r.GetInstance()}},
	}
	switch p.what {
	case "hang_record", "crash_record", "liar", "quits":
		out.Seams = append(out.Seams, "sigra.plugin.v1.AuditSink")
	case "hang_ask", "crash_ask":
		out.Seams, out.GateQuestions = append(out.Seams, "sigra.plugin.v1.Gate"), []*pluginv1.GateQuestion{{Name: "login"}}
	case "oversized":
		out.Description = strings.Repeat("x", 5<<20)
	case "thief": // another plugin's path, and below Sigra's own
		out.Routes = []*pluginv1.Route{{Path: "/thief"}, {Path: "/victim/inner"}}
	case "usurper":
		out.Routes = []*pluginv1.Route{{Path: "/v1/login"}}
	case "newer_seam":
		out.Seams, out.Routes = []string{"sigra.plugin.v9.Telepathy"}, nil
	case "claims_much":
		out.Routes = nil
		for i := range 1000 {
			out.Routes = append(out.Routes, &pluginv1.Route{Path: fmt.Sprintf("/much%d", i)})
		}
	case "grabby":
		out.RequiredGrants = []string{"seal.use"}
	}
	return out, nil
}

func (p *hostile) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	p.at("configure")
	switch p.what {
	case "crash_loop":
		time.AfterFunc(300*time.Millisecond, func() {
			die("once more")
		})
	case "log_trap":
		go func() {
			for range time.Tick(50 * time.Millisecond) {
				_, _ = syscall.Write(2, []byte("{\"@level\": 5}\n{\"@message\":{},\"@level\":[]}\n{\"@timestamp\":{}}\n\x1b[2J\x00\xff\n"))
			}
		}()
	case "flood":
		for _, fd := range []int{1, 2} {
			go func() {
				line := []byte(strings.Repeat("noise ", 20) + "\n")
				for begin := time.Now(); time.Since(begin) < 5*time.Second; {
					_, _ = syscall.Write(fd, line)
				}
			}()
		}
	case "leak":
		time.AfterFunc(300*time.Millisecond, func() {
			var kept [][]byte
			for {
				b := make([]byte, 8<<20)
				for i := range b {
					b[i] = 1
				}
				kept = append(kept, b)
				time.Sleep(20 * time.Millisecond)
				_ = kept
			}
		})
	case "forks":
		p.fork()
	}
	return &pluginv1.ConfigureResponse{}, nil
}

// fork leaves children behind: one in the group, one in a session of its own, and one that hides its origin too.
func (p *hostile) fork() {
	h := fnv.New32a()
	_, _ = h.Write([]byte(os.Args[0]))
	nap := 31536000 + int(h.Sum32()%1e6)*10
	for _, sh := range []string{
		fmt.Sprintf("exec sleep %d", nap+1), fmt.Sprintf("exec setsid sleep %d", nap+2),
		fmt.Sprintf("setsid env -i /bin/sh -c '/bin/sleep %d & :' &", nap+3),
	} {
		cmd := exec.Command("/bin/sh", "-c", sh)
		_ = cmd.Start()
		go func() { _ = cmd.Wait() }()
	}
}

func (p *hostile) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	p.at("health")
	return &pluginv1.HealthResponse{Ok: true}, nil
}

func (p *hostile) Stop(context.Context, *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	p.at("stop")
	return &pluginv1.StopResponse{}, nil
}

func (p *hostile) Ask(context.Context, *pluginv1.AskRequest) (*pluginv1.AskResponse, error) {
	p.at("ask")
	return &pluginv1.AskResponse{Answer: pluginv1.AskResponse_ANSWER_ALLOW}, nil
}

func (p *hostile) Record(_ context.Context, r *pluginv1.RecordRequest) (*pluginv1.RecordResponse, error) {
	p.at("record")
	switch p.what {
	case "liar":
		return &pluginv1.RecordResponse{Inserted: 1 << 20, Refused: []*pluginv1.RowFailure{{Id: "00000000-0000-7000-8000-000000000000", Reason: "never seen"}}}, nil
	case "quits": // the first two of its processes end after a batch that they took
		marks, _ := filepath.Glob(os.Args[0] + ".quit*")
		if len(marks) < 2 {
			_ = os.WriteFile(fmt.Sprintf("%s.quit%d", os.Args[0], len(marks)), nil, 0o600)
			time.AfterFunc(5*time.Millisecond, func() { os.Exit(9) })
		}
		f, err := os.OpenFile(os.Args[0]+".rows", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		for _, row := range r.GetRows() {
			if _, err := fmt.Fprintln(f, row.GetId(), row.GetAction()); err != nil {
				return nil, err
			}
		}
	}
	return &pluginv1.RecordResponse{Inserted: uint32(len(r.GetRows()))}, nil
}

func (p *hostile) Serve(s pluginv1.Routes_ServeServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	p.at("serve")
	head := func(code int32, headers ...*pluginv1.Header) {
		_ = s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{Status: code, Headers: headers}}})
	}
	body := func(b []byte) error {
		return s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Body{Body: b}})
	}
	switch p.what {
	case "freezes":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "huge_answer":
		head(200)
		_ = body(make([]byte, 5<<20))
	case "endless_answer":
		head(200)
		for body(make([]byte, 32<<10)) == nil {
		}
	case "bad_status":
		head(7)
	case "cookies":
		head(200, &pluginv1.Header{Name: "Set-Cookie", Values: []string{"__Host-sigra_session=stolen; Path=/; Secure", "own=1"}},
			&pluginv1.Header{Name: "Clear-Site-Data", Values: []string{"*"}})
	case "ungranted":
		_, err := hostv1.NewIdentityClient(p.host).FindUser(s.Context(), &hostv1.FindUserRequest{By: &hostv1.FindUserRequest_Email{Email: "person0@example.com"}})
		head(200)
		_ = body([]byte(fmt.Sprint(err)))
	default:
		head(200)
		_ = body([]byte(first.GetHead().GetTarget()))
	}
	return s.Send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_End{End: &pluginv1.BodyEnd{}}})
}
