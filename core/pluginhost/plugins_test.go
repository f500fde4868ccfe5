package pluginhost_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/sandbox"
)

// settings of every test plugin.
type settings struct {
	Greeting string        `sigra:"greeting,default=hello"`
	Refuse   bool          `sigra:"refuse,optional"`
	Every    time.Duration `sigra:"every,default=1s"`
	Token    string        `sigra:"token,optional,secret"`
	Rule     []rule        `sigra:"rule"`
}

type rule struct {
	Port int `sigra:"port"`
}

// tester is a plugin that does what its routes are asked to.
type tester struct {
	name     string
	host     *pluginsdk.Host
	greeting string
}

func serve(name string) {
	switch {
	case strings.HasPrefix(name, "crashstart"):
		fmt.Fprintln(os.Stderr, "panic: crashing at start")
		os.Exit(7)
	case strings.HasPrefix(name, "noisystart"):
		fmt.Println("Hello, I am a program that prints.")
		time.Sleep(time.Minute)
	case strings.HasPrefix(name, "fatstart"):
		b := make([]byte, 512<<20)
		for i := range b {
			b[i] = 1
		}
		time.Sleep(time.Minute)
		_ = b[len(b)-1]
	case strings.HasPrefix(name, "hangstart"):
		time.Sleep(time.Minute)
	case strings.HasPrefix(name, "elsewhere"):
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		time.Sleep(time.Minute)
	}
	switch name {
	case "newerplugin":
		serveOther("sigra.plugin.v2", "sigra.plugin.v3")
	case "olderplugin":
		serveOther("sigra.plugin.v0")
	case "foreignplugin":
		serveOther()
	}
	switch {
	case strings.HasPrefix(name, "asker"):
		serveAsker(name)
	case strings.HasPrefix(name, "raw"):
		serveRaw()
	case strings.HasPrefix(name, "gate"):
		pluginsdk.Serve(pluginsdk.Define(pluginsdk.Manifest{
			Name: name, Version: "1.2.3", Description: "a test", Questions: []pluginsdk.GateQuestion{{Question: pluginsdk.Login}, {Question: pluginsdk.MemberAdd}},
		}, func(_ context.Context, h *pluginsdk.Host, s settings) (*gatekeeper, error) {
			t, err := newTester(name, h, s)
			return &gatekeeper{t}, err
		}))
	case strings.HasPrefix(name, "sink"):
		pluginsdk.Serve(pluginsdk.Define(pluginsdk.Manifest{Name: name, Version: "1.2.3", Description: "a test"},
			func(_ context.Context, h *pluginsdk.Host, s settings) (*sinkPlugin, error) {
				t, err := newTester(name, h, s)
				return &sinkPlugin{t}, err
			}))
	default:
		m := pluginsdk.Manifest{
			Name: name, Version: "1.2.3", Description: "a test", Wants: []pluginsdk.Grant{pluginsdk.KVUse, pluginsdk.SealUse},
			Routes: []pluginsdk.Route{{Path: "/" + name, Title: "Test"}, {Path: "/" + name + "-machine", CrossSite: pluginsdk.CrossSiteMachine},
				{Path: "/" + name + "-in", Access: pluginsdk.SignedIn}, {Path: "/" + name + "-admin", Access: pluginsdk.Administrators}},
		}
		if name == "needy" {
			m.Requires = []pluginsdk.Grant{pluginsdk.IdentityRead}
		}
		pluginsdk.Serve(pluginsdk.Define(m, func(_ context.Context, h *pluginsdk.Host, s settings) (*routed, error) {
			t, err := newTester(name, h, s)
			return &routed{t}, err
		}))
	}
}

func newTester(name string, host *pluginsdk.Host, set settings) (*tester, error) {
	if set.Refuse {
		return nil, pluginsdk.Diagnostic("refuse", "this plugin refuses", "as it was told to")
	}
	for i, r := range set.Rule {
		if r.Port == 13 {
			return nil, pluginsdk.DiagnosticAt([]string{"rule", strconv.Itoa(i), "port"}, "an unlucky port", "")
		}
	}
	if strings.HasPrefix(name, "boxed") {
		if _, err := sandbox.Restrict(host.Logger(), sandbox.Rights{}); err != nil {
			return nil, err
		}
	}
	return &tester{name, host, set.Greeting}, nil
}

// routed serves HTTP and uses host services.
type routed struct{ *tester }

func (p *routed) Stop(ctx context.Context) error {
	if strings.HasPrefix(p.name, "stopper") {
		time.Sleep(700 * time.Millisecond) // longer than go-plugin's own shutdown would be given
		_, _, err := p.host.KV().Put(ctx, pluginsdk.KVPut{Key: "stopped", Value: []byte("in order"), IfVersion: pluginsdk.AnyVersion})
		return err
	}
	return nil
}

func (p *routed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, "/"+p.name)
	q := r.URL.Query()
	switch rest {
	case "/hello":
		_, _ = io.WriteString(w, p.greeting)
	case "/sleep":
		d, _ := time.ParseDuration(q.Get("d"))
		time.Sleep(d)
		_, _ = io.WriteString(w, "slept")
	case "/hash":
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		_, _ = fmt.Fprintf(w, "%d %s", n, hex.EncodeToString(h.Sum(nil)))
	case "/echo":
		w.WriteHeader(200)
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				_, _ = w.Write(buf[:n])
				_ = http.NewResponseController(w).Flush()
			}
			if err != nil {
				return
			}
		}
	case "/request", "-machine/request", "-in/request", "-admin/request":
		out := map[string]any{"headers": r.Header, "principal": pluginsdk.RequestPrincipal(r.Context()), "target": r.RequestURI, "host": r.Host}
		_ = json.NewEncoder(w).Encode(out)
	case "/answer":
		for _, h := range q["h"] {
			k, v, _ := strings.Cut(h, ":")
			w.Header().Add(k, v)
		}
		code, _ := strconv.Atoi(q.Get("code"))
		if code == 0 {
			code = 200
		}
		w.WriteHeader(code)
	case "/environ":
		dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
		mode := ""
		if fi, err := os.Stat(dir); err == nil {
			mode = fi.Mode().Perm().String()
		}
		in, _ := os.Readlink("/proc/self/fd/0")
		_ = json.NewEncoder(w).Encode(map[string]any{"env": os.Environ(), "dir": dir, "mode": mode, "stdin": in, "open": openFiles()})
	case "/stderr":
		b, _ := io.ReadAll(r.Body)
		_, _ = syscall.Write(2, b)
	case "/alloc":
		n, _ := strconv.Atoi(q.Get("mb"))
		b := make([]byte, n<<20)
		for i := range b {
			b[i] = 1
		}
		time.Sleep(time.Minute)
		_, _ = w.Write(b[:1])
	case "/burn":
		d, _ := time.ParseDuration(q.Get("d"))
		begin := time.Now()
		for time.Since(begin) < d { //nolint:revive // the point is to use the processor
		}
		var ru syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
		_, _ = fmt.Fprint(w, time.Duration(ru.Utime.Nano()+ru.Stime.Nano()).Milliseconds())
	case "/open":
		var files []*os.File
		var err error
		for range 4096 {
			var f *os.File
			if f, err = os.Open("/dev/null"); err != nil {
				break
			}
			files = append(files, f)
		}
		for _, f := range files {
			_ = f.Close()
		}
		_, _ = fmt.Fprintf(w, "%d %v", len(files), err)
	case "/whoami":
		groups, _ := os.Getgroups()
		dir, err := os.ReadDir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"))
		_, forbidden := os.ReadFile("/proc/1/environ")
		_, _ = fmt.Fprintf(w, "%d %d %v %d %v %v", os.Getuid(), os.Getgid(), groups, len(dir), err, forbidden)
	case "/passwd":
		_, err := os.ReadFile("/etc/passwd")
		_, _ = fmt.Fprint(w, err)
	case "/pid":
		_, _ = fmt.Fprint(w, os.Getpid())
	case "/fork":
		cmd := exec.Command("/bin/sleep", "300")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: q.Get("setsid") != ""}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		_, _ = fmt.Fprint(w, cmd.Process.Pid)
	case "/wedge":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "/crash":
		fmt.Fprintln(os.Stderr, "panic: told to crash\n\ngoroutine 1 [running]:")
		os.Exit(5)
	case "/kv":
		v, stored, err := p.host.KV().Put(r.Context(), pluginsdk.KVPut{Key: q.Get("key"), Value: []byte(q.Get("value")), IfVersion: pluginsdk.AnyVersion})
		var ng *pluginsdk.NotGrantedError
		if errors.As(err, &ng) {
			http.Error(w, ng.Line(), http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprint(w, stored, v > 0, err)
	case "/identity":
		_, _, err := p.host.Identity().FindUser(r.Context(), pluginsdk.UserQuery{Email: "somebody@example.com"})
		_, _ = fmt.Fprint(w, err)
	default:
		http.NotFound(w, r)
	}
}

// gatekeeper answers questions.
type gatekeeper struct{ *tester }

func (p *gatekeeper) Ask(ctx context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	switch a.Login.Method {
	case "deny":
		return pluginsdk.Deny("seat_limit_reached", "All seats are taken."), nil
	case "deny_oddly":
		return pluginsdk.Deny("../Odd\x1b[2J", "No."), nil
	case "step_up":
		return pluginsdk.StepUp("aal2", "risky"), nil
	case "hang":
		<-ctx.Done()
		return pluginsdk.Answer{}, ctx.Err()
	case "fail":
		return pluginsdk.Answer{}, errors.New("no idea")
	case "tell": // what it was told, as what it wants done
		told := map[string]any{"dry_run": a.DryRun, "attributes": a.Attributes, "new_network": a.Login.NewNetwork, "language": a.Request.Language}
		if a.Device != nil {
			told["device"] = fmt.Sprint(*a.Device)
		}
		return pluginsdk.Allow().CacheFor(time.Minute).Explained("7", "why-7").Oblige(pluginsdk.Obligation{Name: "told", Parameters: told}), nil
	}
	return pluginsdk.Allow(), nil
}

// sinkPlugin takes rows.
type sinkPlugin struct{ *tester }

func (p *sinkPlugin) Record(_ context.Context, req pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	var out pluginsdk.RecordResponse
	for _, r := range req.Rows {
		if r.Reason == "poison" {
			out.Refused = append(out.Refused, pluginsdk.Refusal{ID: r.ID, Reason: "poison"})
			continue
		}
		out.Inserted++
	}
	return out, nil
}

// openFiles is what this process's descriptors stand for.
func openFiles() (out []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			out = append(out, name)
		}
	}
	return out
}
