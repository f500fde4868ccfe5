package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func kill9(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// forTest is the same server, reporting to another test.
func (in *instance) forTest(t testing.TB) *instance {
	return &instance{t: t, dir: in.dir, config: in.config, url: in.url, addr: in.addr, http: in.http, cert: in.cert, data: in.data, exe: in.exe, env: in.env, from: in}
}

func copyFile(t testing.TB, from, to string) (sum string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o700); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

type pluginDetail struct {
	State     string
	PID       int
	LastError string `json:"last_error"`
	LastCrash string `json:"last_crash"`
	Log       []string
}

// pluginInfo asks the running server for all it knows of a plugin.
func (in *instance) pluginInfo(name string) (i pluginDetail, err error) {
	r, err := in.control("GET", "/v1/admin/plugins/"+name, nil)
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(r.body, &i); err != nil || r.status != http.StatusOK {
		return i, fmt.Errorf("%d %w: %s", r.status, err, r.body)
	}
	return i, nil
}

// metric sums up the samples of a name that have all these texts in their labels.
func (in *instance) metric(name string, labels ...string) (sum float64) {
	res, err := http.Get(in.url + "/metrics")
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	b, _ := io.ReadAll(res.Body)
lines:
	for line := range strings.SplitSeq(string(b), "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if l != "" && !strings.Contains(rest, `"`+l+`"`) {
				continue lines
			}
		}
		v, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		sum += v
	}
	return sum
}

// footprint is what a server holds.
type footprint struct{ goroutines, pipes, files int }

// footprint waits until connections of the tests are gone, and looks.
func (in *instance) footprint() footprint {
	in.t.Helper()
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	var f footprint
	f.goroutines = int(in.metric("go_goroutines"))
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", in.process().Pid))
	if err != nil {
		in.t.Fatal(err)
	}
	for _, e := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", in.process().Pid, e.Name()))
		f.files++
		if strings.HasPrefix(to, "pipe:") {
			f.pipes++
		}
	}
	return f
}

// nothingLeft expects no process, file or socket of a plugin, and no more goroutines and descriptors than the server
// had before there were any.
func (in *instance) nothingLeft(t *testing.T, dir string, before footprint) {
	t.Helper()
	nap := "sleep\x00" + strconv.Itoa(naps(filepath.Join(dir, hostilePrefix+"forks"))/10)
	in.eventually(20*time.Second, "rid of the plugins' processes", func() error {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return err
		}
		for _, e := range entries {
			cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
			environ, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
			s := string(cmdline)
			if strings.HasPrefix(s, dir) || strings.Contains(s, nap) || strings.Contains(string(environ), "PLUGIN_UNIX_SOCKET_DIR="+in.data) {
				return fmt.Errorf("process %s: %s", e.Name(), strings.ReplaceAll(s, "\x00", " "))
			}
		}
		return nil
	})
	if left, err := os.ReadDir(filepath.Join(in.data, "run", "plugins")); err != nil || len(left) > 0 {
		t.Errorf("in the socket folder: %v %v", left, err)
	}
	var after footprint
	in.eventually(30*time.Second, "as small as before", func() error {
		// A pool of database connections and a few of HTTP come and go: they are not what is looked for here.
		if after = in.footprint(); after.goroutines > before.goroutines+12 || after.files > before.files+16 || after.pipes > before.pipes {
			return fmt.Errorf("%+v, before %+v", after, before)
		}
		return nil
	})
	t.Logf("before any plugin %+v, after the last %+v", before, after)
}

// naps is how long the children sleep that a hostile plugin forks: so long that they are known by it.
func naps(program string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(program))
	return 31536000 + int(h.Sum32()%1e6)*10
}

// sweep ends what a test that failed left running: hostile plugins keep no lifeline.
func sweep(dir string) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if pid, err := strconv.Atoi(e.Name()); err == nil && strings.HasPrefix(string(cmdline), dir+"/"+hostilePrefix) {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}
