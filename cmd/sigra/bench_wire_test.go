package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is an HTTP/1.1 client that costs next to nothing, so that the processors are left to the servers.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
}

type wireAnswer struct {
	status     int
	retryAfter string
	body       []byte
}

func dial(addr string) (*wire, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &wire{conn, bufio.NewReaderSize(conn, 8<<10)}, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// get is the text of a request; token may be empty.
func get(path, addr, token string) []byte {
	s := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: bench\r\n"
	if token != "" {
		s += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(s + "\r\n")
}

func postJSON(path, addr string, body any) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // ours
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, addr, len(b), b)
}

// member is somebody who signs in from the client they have always used.
type member struct{ email, device string }

func loginRequest(addr string, m member) []byte {
	return postJSON("/v1/login", addr, map[string]any{"email": m.email, "password": testPassword, "token_delivery": "body", "device": m.device})
}

// known signs somebody in once, so that their client is known from then on.
func (in *instance) known(t testing.TB, email string) member {
	t.Helper()
	s, err := in.signIn(email)
	if err != nil || s.Device == "" {
		t.Fatalf("no device: %v", err)
	}
	return member{email, s.Device}
}

// do sends a request and reads its answer.
func (w *wire) do(request []byte) (a wireAnswer, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return a, err
	}
	if _, err := w.conn.Write(request); err != nil {
		return a, err
	}
	length := 0
	for first := true; ; first = false {
		line, err := w.r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch name, value, _ := strings.Cut(string(line), ": "); {
		case first:
			if len(line) < 12 {
				return a, fmt.Errorf("answer begins with %q", line)
			}
			if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return a, err
			}
		case len(line) == 0:
			a.body = make([]byte, length)
			_, err := io.ReadFull(w.r, a.body)
			return a, err
		case name == "Content-Length":
			if length, err = strconv.Atoi(value); err != nil {
				return a, err
			}
		case name == "Retry-After":
			a.retryAfter = value
		case name == "Transfer-Encoding":
			return a, errors.New("the answer is chunked")
		}
	}
}

// drive sends n requests over some connections, each answered before the next one on it. Every one has to succeed.
func drive(addr string, connections, n int, request func(i int) []byte) error {
	var next atomic.Int64
	errs := make([]error, connections)
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			w, err := dial(addr)
			if err != nil {
				errs[c] = err
				return
			}
			defer w.close()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				a, err := w.do(request(int(i)))
				if err == nil && a.status != 200 {
					err = fmt.Errorf("answered %d: %s", a.status, a.body)
				}
				if err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
