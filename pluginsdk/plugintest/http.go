package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
)

// Client is a browser or program in front of the plugin's routes, signed in as p, or as nobody when p is nil. It follows no redirects
// and has no cookies of Sigra's; the host in its URLs is of no account: client.Get("http://sigra/greeter").
func (r *Running) Client(p *pluginsdk.Principal) *http.Client { return ClientOver(r.conn, p) }

// ClientOver is Client for a plugin that was started otherwise: in a process of its own, say.
func ClientOver(conn grpc.ClientConnInterface, p *pluginsdk.Principal) *http.Client {
	return &http.Client{
		Transport:     &transport{pluginv1.NewRoutesClient(conn), p},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport carries a request over one stream, as the host does.
type transport struct {
	routes    pluginv1.RoutesClient
	principal *pluginsdk.Principal
}

// language is the first that the request asks for.
func language(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	first, _, _ = strings.Cut(first, ";")
	return strings.TrimSpace(first)
}

type stream = pluginv1.Routes_ServeClient

const chunkSize = 32 << 10

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	s, err := t.routes.Serve(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	length := r.ContentLength
	if r.Body == nil || r.Body == http.NoBody {
		length = 0
	} else if length == 0 {
		length = -1
	}
	head := &pluginv1.RequestHead{
		Method: r.Method, Target: r.URL.RequestURI(), Host: r.Host, Scheme: "https", Principal: principalTo(t.principal),
		Request: &pluginv1.RequestInfo{RequestId: "plugintest", Ip: "192.0.2.7", UserAgent: r.UserAgent(), Language: language(r)}, ContentLength: length,
	}
	for name, values := range r.Header {
		head.Headers = append(head.Headers, &pluginv1.Header{Name: name, Values: values})
	}
	if err := s.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Head{Head: head}}); err != nil {
		cancel()
		return nil, err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendBody(s, r, length)
	}()
	resp, err := receiveHead(s, r)
	if err != nil {
		cancel()
		if r.Body != nil {
			_ = r.Body.Close()
		}
		<-sent
		return nil, fmt.Errorf("plugin: %w", err)
	}
	resp.Body = &responseBody{stream: s, resp: resp, end: func() {
		cancel()
		if r.Body != nil {
			_ = r.Body.Close() // a sender that waits for more of it
		}
		<-sent
	}}
	return resp, nil
}

func sendBody(s stream, r *http.Request, length int64) {
	end := &pluginv1.BodyEnd{}
	if length != 0 {
		defer func() { _ = r.Body.Close() }()
		buf := make([]byte, chunkSize)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				if s.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Body{Body: bytes.Clone(buf[:n])}}) != nil {
					return // the plugin has answered without reading on
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
		}
		for name, values := range r.Trailer {
			end.Trailers = append(end.Trailers, &pluginv1.Header{Name: name, Values: values})
		}
	}
	if s.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_End{End: end}}) == nil {
		_ = s.CloseSend()
	}
}

func receiveHead(s stream, r *http.Request) (*http.Response, error) {
	for {
		f, err := s.Recv()
		if err != nil {
			return nil, err
		}
		head := f.GetHead()
		if head == nil {
			return nil, errors.New("the response does not begin with a head")
		}
		code := int(head.GetStatus())
		if code >= 100 && code < 200 {
			continue
		}
		resp := &http.Response{
			Status: strconv.Itoa(code) + " " + http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, ContentLength: -1, Request: r, Trailer: http.Header{},
		}
		for _, h := range head.GetHeaders() {
			resp.Header[http.CanonicalHeaderKey(h.GetName())] = h.GetValues()
		}
		if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64); err == nil {
			resp.ContentLength = n
		}
		for name := range strings.SplitSeq(resp.Header.Get("Trailer"), ",") {
			if name = strings.TrimSpace(name); name != "" {
				resp.Trailer[http.CanonicalHeaderKey(name)] = nil
			}
		}
		return resp, nil
	}
}

// responseBody reads the frames as they are asked for.
type responseBody struct {
	stream stream
	resp   *http.Response
	end    func()
	rest   []byte
	err    error
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		f, err := b.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			b.err = fmt.Errorf("plugin: %w", err)
			continue
		}
		switch f := f.GetFrame().(type) {
		case *pluginv1.ServeResponse_Body:
			b.rest = f.Body
		case *pluginv1.ServeResponse_End:
			for _, h := range f.End.GetTrailers() {
				b.resp.Trailer[http.CanonicalHeaderKey(h.GetName())] = h.GetValues()
			}
			b.err = io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *responseBody) Close() error {
	b.end()
	return nil
}
