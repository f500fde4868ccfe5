package pluginsdk

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type (
	principalKey   struct{}
	requestInfoKey struct{}
	certificateKey struct{}
)

// CookieName is the name under which a plugin keeps a cookie: Sigra passes no other on, in neither direction. The prefix
// makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis §4.1.3.2).
func CookieName(plugin, name string) string { return "__Host-" + plugin + "-" + name }

// RequestState is the value of the cookie that Sessions.Begin set in the browser which sent r; empty when it did not come.
func RequestState(r *http.Request, plugin, state string) string {
	if len(state) < stateKeyLength {
		return ""
	}
	c, err := r.Cookie(CookieName(plugin, "state_"+state[:stateKeyLength]))
	if err != nil {
		return ""
	}
	return c.Value
}

// stateKeyLength is how much of a state is in the name of its cookie, so that several sign-ins can be under way at once.
const stateKeyLength = 12

// RequestCertificate is the client's TLS certificate; nil when there is none or the route did not ask for it.
func RequestCertificate(ctx context.Context) *ClientCertificate {
	c, _ := ctx.Value(certificateKey{}).(*ClientCertificate)
	return c
}

// WithCertificate puts a client certificate into a context as a request would carry it: for tests of handlers.
func WithCertificate(ctx context.Context, c *ClientCertificate) context.Context {
	return context.WithValue(ctx, certificateKey{}, c)
}

func certificateFrom(c *pluginv1.ClientCertificate) (*ClientCertificate, error) {
	if c == nil {
		return nil, nil
	}
	out := &ClientCertificate{Source: c.GetSource(), Verified: c.GetVerified()}
	for _, der := range c.GetChain() {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		out.Chain = append(out.Chain, x)
	}
	return out, nil
}

// RequestPrincipal says who sent the request that r.Context() belongs to, as Sigra resolved it; nil when nobody is
// signed in.
func RequestPrincipal(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// RequestInfoFrom says where that request came from, as Sigra judged it.
func RequestInfoFrom(ctx context.Context) RequestInfo {
	i, _ := ctx.Value(requestInfoKey{}).(RequestInfo)
	return i
}

// WithRequest puts a principal (nil for nobody) and an origin into a context as a request would carry them: for tests
// of handlers.
func WithRequest(ctx context.Context, p *Principal, info RequestInfo) context.Context {
	return context.WithValue(context.WithValue(ctx, principalKey{}, p), requestInfoKey{}, info)
}

// routes serves an http.Handler over one stream per request.
type routes struct {
	pluginv1.UnimplementedRoutesServer
	log hclog.Logger
}

type routesStream = pluginv1.Routes_ServeServer

// Serve implements pluginv1.RoutesServer.
func (rt routes) Serve(stream routesStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	head := first.GetHead()
	if head == nil {
		return status.Error(codes.InvalidArgument, "the first frame of a request must be its head")
	}
	body := &requestBody{stream: stream, trailer: http.Header{}}
	r, err := requestFrom(stream.Context(), head, body)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	w := &responseWriter{stream: stream, log: rt.log, head: r.Method == http.MethodHead, header: http.Header{}, length: -1}
	defer body.shut()
	if err := rt.handle(w, r); err != nil {
		return err
	}
	return w.finish()
}

// handle runs the handler. http.ErrAbortHandler cuts the connection without a word, as in net/http; any other panic is
// for the guard around the call.
func (rt routes) handle(w *responseWriter, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.close()
			if v != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(v)
			}
			err = status.Error(codes.Aborted, "the handler aborted the response")
		}
	}()
	instanceFor[Routes](r.Context()).ServeHTTP(w, r)
	return nil
}

func requestFrom(ctx context.Context, head *pluginv1.RequestHead, body *requestBody) (*http.Request, error) {
	u, err := url.ParseRequestURI(head.GetTarget())
	if err != nil || !strings.HasPrefix(head.GetTarget(), "/") {
		return nil, errors.New("the request's target is not a path")
	}
	r := &http.Request{
		Method: head.GetMethod(), URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Host: head.GetHost(), RequestURI: head.GetTarget(), ContentLength: head.GetContentLength(), Body: http.NoBody,
		RemoteAddr: remoteAddr(head.GetRequest().GetIp()),
	}
	for _, h := range head.GetHeaders() {
		name := http.CanonicalHeaderKey(h.GetName())
		r.Header[name] = append(r.Header[name], h.GetValues()...)
	}
	if r.ContentLength != 0 {
		r.Body, r.Trailer = body, body.trailer
	}
	certificate, err := certificateFrom(head.GetClientCertificate())
	if err != nil {
		return nil, err
	}
	ctx = WithCertificate(ctx, certificate)
	ctx = WithRequest(ctx, principalFrom(head.GetPrincipal()), requestInfoFrom(head.GetRequest()))
	return r.WithContext(ctx), nil
}

// remoteAddr is the client's address in the form of net/http, without a port that anybody could rely on.
func remoteAddr(ip string) string {
	if ip == "" {
		return ""
	}
	if strings.Contains(ip, ":") {
		return "[" + ip + "]:0"
	}
	return ip + ":0"
}

// requestBody reads the frames of a request as they are asked for: a handler that does not read holds the sender back.
type requestBody struct {
	stream  routesStream
	closed  atomic.Bool
	trailer http.Header

	mu   sync.Mutex // one reader at a time
	rest []byte
	err  error
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.rest) == 0 {
		if b.closed.Load() {
			return 0, http.ErrBodyReadAfterClose
		}
		if b.err != nil {
			return 0, b.err
		}
		b.next()
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *requestBody) next() {
	f, err := b.stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		b.err = io.ErrUnexpectedEOF // the body's end is a frame of its own
		return
	case err != nil:
		b.err = err
		if ctx := b.stream.Context(); ctx.Err() != nil {
			b.err = ctx.Err()
		}
		return
	}
	switch f := f.GetFrame().(type) {
	case *pluginv1.ServeRequest_Body:
		b.rest = f.Body
	case *pluginv1.ServeRequest_End:
		for _, h := range f.End.GetTrailers() {
			name := http.CanonicalHeaderKey(h.GetName())
			b.trailer[name] = append(b.trailer[name], h.GetValues()...)
		}
		b.err = io.EOF
	default:
		b.err = errors.New("a frame out of order in the request")
	}
}

// Close implements io.Closer. A read in progress ends with the call.
func (b *requestBody) Close() error { b.closed.Store(true); return nil }

func (b *requestBody) shut() { b.closed.Store(true) }

// chunkSize is the most that a body frame carries.
const chunkSize = 32 << 10

// responseWriter sends frames as the handler writes. Like that of net/http it holds small writes back until 32 KiB
// are together, Flush is called or the handler returns.
type responseWriter struct {
	stream routesStream
	log    hclog.Logger
	head   bool // the method is HEAD: no body

	mu       sync.Mutex // handlers should not write from several goroutines; frames must not be torn when they do
	header   http.Header
	status   int         // 0 until decided
	sent     http.Header // as it was when status was decided
	headSent bool
	length   int64 // declared Content-Length; -1: none
	written  int64
	buf      []byte
	done     bool
	err      error // the stream is broken
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)

	errHandlerDone = errors.New("the response was written to after its handler returned")
)

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(code)
}

func (w *responseWriter) writeHeader(code int) {
	// 101 would need the connection itself, which does not leave the host.
	if code < 100 || code > 999 || code == http.StatusSwitchingProtocols {
		panic(fmt.Sprintf("invalid WriteHeader code %d", code))
	}
	if w.done || w.status != 0 {
		w.log.Warn("superfluous WriteHeader call", "status", code)
		return
	}
	if code < 200 {
		w.send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{
			Status: int32(code), Headers: headersTo(w.header)}}})
		return
	}
	w.status, w.sent = code, w.header.Clone()
	if cl := w.sent.Get("Content-Length"); cl != "" {
		if n, err := strconv.ParseInt(cl, 10, 64); err == nil && n >= 0 {
			w.length = n
		} else {
			w.log.Warn("invalid Content-Length dropped", "value", cl)
			w.sent.Del("Content-Length")
		}
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.admit(len(p)); err != nil {
		return 0, err
	}
	n := len(p)
	for len(p) > 0 && w.err == nil {
		k := min(chunkSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		if len(w.buf) == chunkSize {
			w.flushBody()
		}
	}
	return n - len(p), w.err
}

// WriteString implements io.StringWriter.
func (w *responseWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// admit checks whether n more bytes may be written.
func (w *responseWriter) admit(n int) error {
	switch {
	case w.done:
		return errHandlerDone
	case w.err != nil:
		return w.err
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.length >= 0 && w.written > w.length {
		w.written -= int64(n)
		return http.ErrContentLength
	}
	return nil
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return errHandlerDone
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.flushBody()
	w.send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Flush{Flush: true}})
	return w.err
}

// EnableFullDuplex is what http.ResponseController calls: reading while writing always works here.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// flushBody sends the head, if it has not been, and what is in the buffer.
func (w *responseWriter) flushBody() {
	if !w.headSent {
		w.headSent = true
		if _, set := w.sent["Content-Type"]; !set && len(w.buf) > 0 && bodyAllowed(w.status) && w.sent.Get("Content-Encoding") == "" {
			w.sent.Set("Content-Type", http.DetectContentType(w.buf))
		}
		w.send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Head{Head: &pluginv1.ResponseHead{
			Status: int32(w.status), Headers: headersTo(w.sent)}}})
	}
	if len(w.buf) > 0 && !w.head {
		w.send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_Body{Body: w.buf}})
	}
	w.buf = w.buf[:0] // gRPC has encoded the frame by the time send returns
}

func (w *responseWriter) send(f *pluginv1.ServeResponse) {
	if w.err == nil {
		w.err = w.stream.Send(f)
	}
}

// finish ends the response when the handler has returned.
func (w *responseWriter) finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.done = true
	if !w.headSent && w.length < 0 && bodyAllowed(w.status) && (!w.head || w.written > 0) && len(w.trailers()) == 0 && w.written == int64(len(w.buf)) {
		w.sent.Set("Content-Length", strconv.FormatInt(w.written, 10))
	}
	w.flushBody()
	if !w.head && w.length >= 0 && w.written < w.length && bodyAllowed(w.status) {
		return status.Errorf(codes.Internal, "the handler wrote %d bytes of the %d it declared", w.written, w.length)
	}
	w.send(&pluginv1.ServeResponse{Frame: &pluginv1.ServeResponse_End{End: &pluginv1.BodyEnd{Trailers: w.trailers()}}})
	return w.err
}

// close makes later writes fail without sending anything.
func (w *responseWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
}

// trailers are the values of the declared trailers and of those with http.TrailerPrefix.
func (w *responseWriter) trailers() []*pluginv1.Header {
	out := http.Header{}
	for _, list := range w.sent["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if v, ok := w.header[name]; ok {
				out[name] = v
			}
		}
	}
	for name, v := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			out[http.CanonicalHeaderKey(rest)] = v
		}
	}
	return headersTo(out)
}

func headersTo(h http.Header) []*pluginv1.Header {
	out := make([]*pluginv1.Header, 0, len(h))
	for name, values := range h {
		if len(values) > 0 && !strings.HasPrefix(name, http.TrailerPrefix) {
			out = append(out, &pluginv1.Header{Name: name, Values: values})
		}
	}
	return out
}

// bodyAllowed: RFC 9110 §6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
