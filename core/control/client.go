package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sigra-auth/sigra/core/httpapi"
)

// ErrNotRunning says that no server listens on the control socket.
var ErrNotRunning = errors.New("no Sigra runs here")

// Client asks one server. Safe for concurrent use.
type Client struct {
	*connection
	*auditLog
}

// connection is the way to the server.
type connection struct {
	http   *http.Client
	socket string // empty when in this process
}

func newClient(c *connection) *Client { return &Client{connection: c, auditLog: &auditLog{c}} }

// keyHeader carries the control key: core/server's ControlKeyHeader.
const keyHeader = "Sigra-Control-Key"

// keyed adds the control key that the server wrote beside its socket. It is read anew each time: another server may
// have started meanwhile.
type keyed struct {
	socket string
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := os.ReadFile(k.socket + ".key")
	switch {
	case err == nil:
		r = r.Clone(r.Context())
		r.Header.Set(keyHeader, string(key))
	case !errors.Is(err, fs.ErrNotExist): // where there is no key there is no server, as the socket will say
		return nil, err
	}
	return k.Transport.RoundTrip(r)
}

// Dial makes a client of the server behind a control socket. Nothing is opened before the first call.
func Dial(socket string) *Client {
	var d net.Dialer
	return newClient(&connection{socket: socket, http: &http.Client{
		CheckRedirect: noRedirect,
		Transport: keyed{socket, &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				return d.DialContext(ctx, "unix", socket)
			},
			DisableCompression: true,
			MaxIdleConns:       2,
			IdleConnTimeout:    10 * time.Second,
		}},
	}})
}

// In makes a client of the API in this process. The operator is who runs the command, for the audit log.
func In(api http.Handler, operator string) *Client {
	return newClient(&connection{http: &http.Client{Transport: &inProcess{api: api, operator: operator}, CheckRedirect: noRedirect}})
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close lets go of idle connections.
func (c *connection) Close() { c.http.CloseIdleConnections() }

// Error is a problem that the server answered.
type Error struct{ httpapi.Problem }

// Error is the detail, with each place that was wrong on a line of its own.
func (e *Error) Error() string {
	s := e.Detail
	if s == "" {
		s = fmt.Sprintf("the server answered %d", e.Status)
	}
	if len(e.Errors) == 1 && strings.Contains(s, e.Errors[0].Message) {
		return s
	}
	for _, d := range e.Errors {
		s += "\n  " + d.Location + ": " + d.Message
	}
	if e.Status >= 500 && e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Is makes errors.Is(err, &Error{Problem: httpapi.Problem{Code: "…"}}) work.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// maxAnswer bounds an answer that is read whole.
const maxAnswer = 64 << 20

// none is the answer of an operation that has none.
type none struct{}

// call asks one operation and reads its answer whole.
func call[O any](ctx context.Context, c *connection, method, path string, query url.Values, in any) (O, error) {
	var out O
	res, err := c.send(ctx, method, path, query, in, nil)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return out, fmt.Errorf("the answer of %s %s broke off: %w", method, path, err)
	}
	if len(b) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("the answer of %s %s can't be read; is the server of another version? %w", method, path, err)
	}
	return out, nil
}

// send asks one operation; the caller closes the body. An answer that is no success is an *Error.
func (c *connection) send(ctx context.Context, method, path string, query url.Values, in any, header http.Header) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "sigra", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "sigra")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if res.StatusCode >= 300 {
		defer func() { _ = res.Body.Close() }()
		return nil, problem(res)
	}
	return res, nil
}

// explain says in words why nobody answered.
func (c *connection) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: there is no control socket at %s. Start one with \"sigra serve\", or point --config or data_dir at the one that runs", ErrNotRunning, c.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens on %s any more. Start it with \"sigra serve\"", ErrNotRunning, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the control socket %s may be used only by root and by the user Sigra runs as", c.socket)
	case errors.Is(err, syscall.EINVAL) && len(c.socket) > 100:
		return fmt.Errorf("the path of the control socket is too long for a socket: %s", c.socket)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the server closed the connection before it answered; it may be shutting down")
	}
	return fmt.Errorf("ask the server: %w", err)
}

func problem(res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("the server answered %s and broke off: %w", res.Status, err)
	}
	e := &Error{}
	mt, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if mt != "application/problem+json" || json.Unmarshal(b, &e.Problem) != nil {
		e.Detail = fmt.Sprintf("the server answered %s and not in the API's way; is it of another version?", res.Status)
	}
	e.Status = res.StatusCode
	return e
}
