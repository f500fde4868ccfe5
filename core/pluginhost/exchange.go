package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// exchange is one request on its way through a plugin.
type exchange struct {
	h      *Host
	rt     *route
	w      http.ResponseWriter
	r      *http.Request
	stream pluginv1.Routes_ServeClient
	idle   *time.Timer // cancels the stream
	begun  bool        // the answer has begun
	head   answerHead
	fresh  bool // something was written since the last flush

	informed, empty int  // heads before the answer's own, and frames that say nothing
	wrote           bool // writing to the client failed: it is gone
}

func (rh *routeHandler) serve(w http.ResponseWriter, r *http.Request, who principal.Principal, bearer bool) {
	p := rh.r.p
	// A place among the calls in flight is waited for shortly, whatever the request's own deadline.
	waiting, enough := context.WithTimeout(r.Context(), time.Second)
	in, done, err := p.enter(waiting, pluginv1.Routes_ServiceDesc.ServiceName)
	enough()
	if err != nil {
		rh.fail(w, r, errDown.Because(err))
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := &exchange{h: rh.h, rt: rh.r, w: w, r: r, head: answerHead{plugin: rh.r.plugin(), sent: r.Header["Cookie"]}}
	x.idle = time.AfterFunc(p.patience(rh.h.timing.head), func() { cancel(context.DeadlineExceeded) })
	defer x.idle.Stop()
	err = x.run(ctx, in, who, bearer)
	cause := context.Cause(ctx)
	if err != nil && r.Context().Err() == nil && errors.Is(cause, context.DeadlineExceeded) {
		err = status.Error(codes.DeadlineExceeded, "no answer in time")
	}
	judged := ctx
	if r.Context().Err() == nil {
		judged = context.Background()
	}
	if x.wrote {
		_ = done(r.Context(), nil) // the client went away: nothing against the plugin
	} else {
		err = done(judged, err)
	}
	switch {
	case err == nil && !x.wrote:
	case x.begun || x.wrote:
		panic(http.ErrAbortHandler) // half an answer is out: cut it off, so that nobody takes it for a whole one
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there any more
	default:
		p.log.Warn("request not served", "path", rh.r.GetPath(), "request_id", request.From(r.Context()).ID, "error", err)
		var ce *CallError
		if errors.As(err, &ce) && ce.Code == codes.Internal {
			rh.fail(w, r, errBadAnswer.Because(err))
			return
		}
		rh.fail(w, r, errDown.Because(err))
	}
}

// run carries the exchange. While the answer comes in, the request's body goes out on a goroutine of its own.
func (x *exchange) run(ctx context.Context, in *instance, who principal.Principal, bearer bool) (err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	x.stream, err = pluginv1.NewRoutesClient(in.conn).Serve(ctx)
	if err != nil {
		return err
	}
	info := request.From(x.r.Context())
	scheme := "http"
	if x.r.TLS != nil || strings.HasPrefix(x.h.cfg.BaseURL, "https://") {
		scheme = "https"
	}
	target := x.r.RequestURI
	if target == "" || target[0] != '/' {
		target = x.r.URL.RequestURI()
	}
	err = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Head{Head: &pluginv1.RequestHead{
		Method: x.r.Method, Target: strings.ToValidUTF8(target, "?"), Host: strings.ToValidUTF8(x.r.Host, "?"), Scheme: scheme, Headers: requestHeaders(x.r.Header, x.rt.plugin(), bearer),
		Principal: x.h.principalTo(&who), Request: requestTo(info), ContentLength: x.r.ContentLength, ClientCertificate: x.certificate(),
	}}})
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the reason is in Recv
		return err
	}
	control := http.NewResponseController(x.w)
	if x.r.ProtoMajor == 1 {
		_ = control.EnableFullDuplex() // the answer may begin before the body has ended
	}
	pumped := make(chan struct{})
	if x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0 {
		_ = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_End{End: &pluginv1.BodyEnd{}}})
		_ = x.stream.CloseSend()
		close(pumped)
	} else {
		go func() {
			defer close(pumped)
			x.pump()
		}()
	}
	err = x.answer()
	end() // a body that the plugin does not read must not hold this up
	// The body must not be read any more once this returns. A reader that waits for the client is woken by a deadline,
	// which also ends the connection: the rest of the body is still in it.
	select {
	case <-pumped:
	default:
		_ = control.SetReadDeadline(time.Unix(1, 0))
		select {
		case <-pumped:
		case <-time.After(time.Second):
			_ = x.r.Body.Close()
			<-pumped
		}
	}
	return err
}

// certificate is what the client proved to own, for routes that ask for it.
func (x *exchange) certificate() *pluginv1.ClientCertificate {
	if !x.rt.GetClientCertificates() || x.h.cfg.Certificates == nil {
		return nil
	}
	chain, source, verified := x.h.cfg.Certificates(x.r)
	if len(chain) == 0 {
		return nil
	}
	out := &pluginv1.ClientCertificate{Source: source, Verified: verified}
	for _, c := range chain {
		out.Chain = append(out.Chain, c.Raw)
	}
	return out
}

// pump sends the request's body.
func (x *exchange) pump() {
	defer func() { _ = x.stream.CloseSend() }()
	buf := make([]byte, chunk)
	for {
		n, err := x.r.Body.Read(buf)
		if n > 0 {
			// Send does not keep the slice: it is encoded before it returns.
			if x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_Body{Body: buf[:n]}}) != nil {
				return
			}
			x.idle.Reset(x.rt.p.patience(x.h.timing.idle))
		}
		if errors.Is(err, io.EOF) {
			end := &pluginv1.BodyEnd{Trailers: requestHeaders(x.r.Trailer, x.rt.plugin(), true)}
			_ = x.stream.Send(&pluginv1.ServeRequest{Frame: &pluginv1.ServeRequest_End{End: end}})
			return
		}
		if err != nil {
			return // the plugin sees a body that ends without its end frame
		}
	}
}

// answer passes on what the plugin sends: a head, chunks, an end.
func (x *exchange) answer() error {
	for {
		resp, err := x.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return x.bad("its answer has no end")
			}
			return err
		}
		if x.rt.GetStreaming() {
			x.idle.Stop() // it may be silent for hours
		} else {
			x.idle.Reset(x.rt.p.patience(x.h.timing.idle))
		}
		switch f := resp.GetFrame().(type) {
		case *pluginv1.ServeResponse_Head:
			if x.begun {
				return x.bad("its answer has two heads")
			}
			if err := x.begin(f.Head); err != nil {
				return err
			}
		case *pluginv1.ServeResponse_Body:
			if !x.begun {
				return x.bad("its answer begins with a body")
			}
			if len(f.Body) > 4*chunk {
				return x.bad("a chunk of its answer is too large")
			}
			if len(f.Body) == 0 {
				if err := x.hollow(); err != nil {
					return err
				}
				continue
			}
			x.fresh = true
			if _, err := x.w.Write(f.Body); err != nil {
				switch {
				case errors.Is(err, http.ErrContentLength):
					return x.bad("its answer is longer than it said")
				case errors.Is(err, http.ErrBodyNotAllowed):
					continue // HEAD, 204, 304
				}
				x.wrote = true
				return err
			}
		case *pluginv1.ServeResponse_Flush:
			if err := x.flush(); err != nil {
				return err
			}
		case *pluginv1.ServeResponse_End:
			if !x.begun {
				return x.bad("its answer has no head")
			}
			x.trailers(f.End.GetTrailers())
			return nil
		default:
			return x.bad("its answer has an empty frame")
		}
	}
}

// begin writes the head of the answer, with what the host adds and without what a plugin may not say.
func (x *exchange) begin(head *pluginv1.ResponseHead) error {
	code := int(head.GetStatus())
	if code >= 100 && code < 200 {
		return x.inform(code, head.GetHeaders())
	}
	if code < 200 || code > 599 {
		return x.bad(fmt.Sprintf("it answered with status %d", code))
	}
	said, err := x.head.read(head.GetHeaders())
	x.leftOut(said.refused)
	if err != nil {
		return x.bad(err.Error())
	}
	h := x.w.Header()
	for name, values := range said.headers {
		h[name] = values
	}
	h["Content-Security-Policy"] = policies(head.GetHeaders(), x.h.cfg.PagePolicy)
	h.Set("X-Content-Type-Options", "nosniff") // ASVS 5.0 3.4.4
	if !slices.ContainsFunc(h["Content-Security-Policy"], framesAllowed) {
		h.Set("X-Frame-Options", "DENY")
	} else {
		h.Del("X-Frame-Options")
	}
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", "same-origin")
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2: who sees it depends on who asks
	}
	x.begun, x.fresh = true, true
	x.w.WriteHeader(code)
	return nil
}

// inform passes on a head that comes before the answer's own, without anything but links to fetch early (RFC 8297).
func (x *exchange) inform(code int, headers []*pluginv1.Header) error {
	if code != http.StatusEarlyHints && code != http.StatusProcessing {
		return x.bad(fmt.Sprintf("it answered with status %d", code))
	}
	if x.informed++; x.informed > maxInformed {
		return x.bad(fmt.Sprintf("it sent more than %d heads before its answer", maxInformed))
	}
	said, err := x.head.read(headers)
	if err != nil {
		return x.bad(err.Error())
	}
	h := x.w.Header()
	before := h.Clone()
	if links := said.headers["Link"]; len(links) > 0 && code == http.StatusEarlyHints {
		h["Link"] = links
	}
	x.w.WriteHeader(code)
	clear(h)
	for k, v := range before {
		h[k] = v
	}
	return nil
}

// flush sends what was written so far; one with nothing new to send is worth nothing, and too many of them mean harm.
func (x *exchange) flush() error {
	if !x.fresh {
		return x.hollow()
	}
	x.fresh = false
	_ = http.NewResponseController(x.w).Flush() // some writers can't
	return nil
}

// hollow counts a frame that says nothing.
func (x *exchange) hollow() error {
	if x.empty++; x.empty > maxEmpty {
		return x.bad(fmt.Sprintf("more than %d frames of its answer say nothing", maxEmpty))
	}
	return nil
}

// trailers puts what may follow a body behind it.
func (x *exchange) trailers(in []*pluginv1.Header) {
	said, err := x.head.read(in)
	if err != nil {
		x.leftOut([]string{"trailers"})
		return
	}
	for name, values := range said.headers {
		if allowedTrailer(name) {
			x.w.Header()[http.TrailerPrefix+name] = values
		}
	}
}

// leftOut tells the operator what was taken out of an answer.
func (x *exchange) leftOut(refused []string) {
	for _, what := range refused {
		x.h.metrics.answers.WithLabelValues(x.rt.p.name, badLabel(what)).Inc()
	}
	if len(refused) > 0 {
		x.rt.p.log.Warn("parts of an answer taken out", "path", x.rt.GetPath(), "what", printable(clip(strings.Join(refused, ", "), 200)))
	}
}

// framesAllowed reports whether a policy names somebody who may frame the page.
func framesAllowed(policy string) bool {
	p := strings.ToLower(policy)
	i := strings.Index(p, "frame-ancestors")
	return i >= 0 && !strings.HasPrefix(strings.TrimSpace(p[i+len("frame-ancestors"):]), "'none'")
}

func badLabel(what string) string {
	if what == "cookie" || what == "header_name" || what == "header_value" {
		return what
	}
	return "header"
}

func (x *exchange) bad(text string) error {
	p := x.rt.p
	x.h.metrics.answers.WithLabelValues(p.name, "answer").Inc()
	return p.fail(p.seams[pluginv1.Routes_ServiceDesc.ServiceName], codes.Internal, text)
}
