package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestPickup(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	run := plugintest.Start(t, plugin(), plugintest.Config{Settings: fmt.Sprintf(`{"folder": %q}`, folder)})
	m := pluginsdk.Message{
		IdempotencyKey: "../1", From: pluginsdk.Address{Address: "sigra@example.com"}, To: pluginsdk.Address{Address: "ada@example.com", Name: "Ada\r\nBcc: x@y"},
		Subject: "Grüße", Text: "Hello", Deadline: time.Now().Add(time.Hour),
	}
	for range 2 {
		if _, err := run.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the folder has %v, %v; one message is one file", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); !strings.HasSuffix(s, "\r\n\r\nHello") || strings.Contains(s, "\nBcc:") {
		t.Errorf("the message is\n%s", s)
	}
	m.IdempotencyKey, m.Deadline = "2", time.Now().Add(-time.Hour)
	if _, err := run.Send(t.Context(), m); !pluginsdk.IsPermanent(err) {
		t.Errorf("a message that is too late: %v", err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{
		Settings:    fmt.Sprintf(`{"folder": %q}`, t.TempDir()),
		BadSettings: []string{`{"folder": "/no/such/folder"}`},
	})
}
