package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// recorderEnv makes this test binary be an external plugin that writes down what it gets.
const recorderEnv = "SIGRA_TEST_RECORDER"

// recorder is a plugin on three seams. Everything it is given becomes a line of a file.
type recorder struct {
	mu   sync.Mutex
	file string
}

type recorderSettings struct {
	File string `sigra:"file" doc:"where to write"`
}

// recorded is one line.
type recorded struct {
	Seam, Name, ID, Subject string
}

func recorderPlugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "recorder", Version: "1.0.0", Description: "writes down what it gets", Events: []string{"billing.*"},
	}, func(_ context.Context, _ *pluginsdk.Host, s recorderSettings) (*recorder, error) {
		return &recorder{file: s.File}, nil
	})
}

func (p *recorder) write(lines ...recorded) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := os.OpenFile(p.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if _, err := f.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (p *recorder) Record(_ context.Context, req pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	for _, r := range req.Rows {
		if err := p.write(recorded{"AuditSink", r.Action, r.ID, ""}); err != nil {
			return pluginsdk.RecordResponse{}, err
		}
	}
	return pluginsdk.RecordResponse{Inserted: len(req.Rows)}, nil
}

func (p *recorder) Receive(_ context.Context, r pluginsdk.ReceiveRequest) (out pluginsdk.ReceiveResponse, err error) {
	for _, e := range r.Events {
		if err := p.write(recorded{"EventSink", e.Type, e.ID, e.Subject}); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (p *recorder) Send(_ context.Context, m pluginsdk.Message) (pluginsdk.SendResponse, error) {
	return pluginsdk.SendResponse{}, p.write(recorded{"Mailer", m.Purpose, m.IdempotencyKey, m.Variables["code"] + m.Variables["link"]})
}

// recorderBlock is the plugin's block; its file lies in dir.
func recorderBlock(t testing.TB, dir string) (block, file string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "recorded")
	return fmt.Sprintf("plugin \"recorder\" {\n  source = %q\n  insecure_unpinned = true\n  grants = [\"audit.receive\", \"events.receive:billing.*\", \"mail.deliver\"]\n  env = [%q]\n  config {\n    file = %q\n  }\n}\n", exe, recorderEnv, file), file
}

func readRecorded(t testing.TB, file string) []recorded {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []recorded
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var r recorded
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			if strings.HasSuffix(err.Error(), "unexpected end of JSON input") { // being written
				break
			}
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// awaitRecorded waits for a line.
func awaitRecorded(t testing.TB, file, seam, name string) recorded {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, r := range readRecorded(t, file) {
			if r.Seam == seam && r.Name == name {
				return r
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the plugin never got %s by %s: %v", name, seam, readRecorded(t, file))
		}
	}
}
