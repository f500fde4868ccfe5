// The child of the process tests: one plugin that implements what they need, and misbehaves when asked to.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

type settings struct {
	Greeting string `sigra:"greeting,optional,default=hello" doc:"what to say"`
}

type child struct {
	settings settings
	host     *pluginsdk.Host
}

var plugin = pluginsdk.Define(pluginsdk.Manifest{
	Name: "child", Version: "1.2.3", Description: "a plugin for tests",
	Requires: []pluginsdk.Grant{pluginsdk.KVUse}, Wants: []pluginsdk.Grant{pluginsdk.IdentityRead},
	Routes: []pluginsdk.Route{{Path: "/child", Title: "Child", Access: pluginsdk.SignedIn}},
}, configure)

func configure(_ context.Context, host *pluginsdk.Host, s settings) (*child, error) {
	fmt.Println("noise on standard output after the handshake")
	fmt.Fprintln(os.Stderr, "noise on standard error after the handshake")
	sh := exec.Command("sh", "-c", "echo noise from a child")
	sh.Stdout = os.NewFile(1, "descriptor 1")
	_ = sh.Run()
	if s.Greeting == "" {
		return nil, errors.Join(pluginsdk.Diagnostic("greeting", "The greeting is empty.", "Say something."))
	}
	host.Logger().Info("configured", "greeting", s.Greeting)
	return &child{s, host}, nil
}

func (c *child) Ask(_ context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	switch a.Subject.ID {
	case "panic":
		panic("asked to")
	case "deny":
		return pluginsdk.Deny("no_seat", "There is no seat left."), nil
	case "crash":
		go panic("a goroutine of the plugin's own") //nolint:revive // on purpose
		time.Sleep(time.Minute)
	}
	return pluginsdk.Allow(), nil
}

func (c *child) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/child/echo":
		w.Header().Set("Trailer", "X-Count")
		n, err := io.Copy(flushWriter{w}, r.Body)
		w.Header().Set("X-Count", strconv.FormatInt(n, 10))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	case "/child/lines": // full duplex, line by line
		s := bufio.NewScanner(r.Body)
		for s.Scan() {
			fmt.Fprintf(w, "%s, %s\n", c.settings.Greeting, s.Text())
			w.(http.Flusher).Flush()
		}
	case "/child/kv":
		v, _, err := c.host.KV().Put(r.Context(), pluginsdk.KVPut{Key: "key", Value: []byte("value"), IfVersion: pluginsdk.AnyVersion})
		fmt.Fprintln(w, v, err)
	case "/child/panic":
		panic("asked to")
	default:
		fmt.Fprintln(w, c.settings.Greeting, pluginsdk.RequestPrincipal(r.Context()).UserID)
	}
}

type flushWriter struct{ w http.ResponseWriter }

func (f flushWriter) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.w.(http.Flusher).Flush()
	return n, err
}

func (c *child) Stop(context.Context) error {
	if os.Getenv("CHILD_STOP") == "hang" {
		select {}
	}
	fmt.Println("stopped in order")
	return nil
}

func main() {
	if os.Getenv("CHILD_EARLY") != "" {
		_, _ = os.Stderr.WriteString("early\n")
	}
	pluginsdk.Serve(plugin)
}
