package guard

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// Limits of what is read: a message over them can't be vouched for.
const (
	maxMessage = 10 << 20
	maxDepth   = 10
	maxParts   = 100
)

// Check finds what would track the reader of a message. No findings mean that it may be sent.
func (g *Guard) Check(message []byte) []Finding {
	r := &report{guard: g}
	if len(message) > maxMessage {
		r.add(Finding{Reason: Malformed, Part: "header", Detail: fmt.Sprintf("more than %d bytes", maxMessage)})
		return r.findings
	}
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		r.add(Finding{Reason: Malformed, Part: "header", Detail: err.Error()})
		return r.findings
	}
	r.headers(textproto.MIMEHeader(m.Header))
	body, err := io.ReadAll(m.Body)
	if err != nil {
		r.add(Finding{Reason: Malformed, Part: "1", Detail: err.Error()})
		return r.findings
	}
	w := &walk{report: r}
	w.part(textproto.MIMEHeader(m.Header), body, "1", 0)
	if !r.hasText {
		r.add(Finding{Reason: NoTextPart, Part: "1"})
	}
	return r.findings
}

// headers finds the ones that ask for tracking, or that auth mail has no use for.
func (r *report) headers(h textproto.MIMEHeader) {
	for name, values := range h {
		for _, v := range values {
			if reason := r.header(strings.ToLower(name), strings.TrimSpace(v)); reason != "" {
				r.add(Finding{Reason: reason, Part: "header", Element: name, Detail: v})
			}
		}
	}
}

func (r *report) header(name, value string) string {
	switch name {
	case "list-unsubscribe", "list-unsubscribe-post", "list-id", "list-help", "list-subscribe", "list-post", "list-owner", "list-archive":
		return ListUnsubscribe
	case "disposition-notification-to", "return-receipt-to", "x-confirm-reading-to", "return-receipt-requested", "read-receipt-to", "generate-delivery-report", "x-pmrqc":
		return ReadReceipt
	case "x-pm-trackopens", "x-mailgun-track", "x-mailgun-track-clicks", "x-mailgun-track-opens", "x-mailjet-trackopen", "x-mailjet-trackclick",
		"x-mj-trackopen", "x-mj-trackclick", "x-mc-track", "x-msys-track":
		if !off(value) {
			return ProviderTrackingOn
		}
	case "x-pm-tracklinks":
		if !strings.EqualFold(value, "none") {
			return ProviderTrackingOn
		}
	case "x-smtpapi":
		if smtpapiTracks(value) {
			return ProviderTrackingOn
		}
	case "x-ses-configuration-set":
		for _, set := range r.guard.sets {
			if strings.EqualFold(set, value) {
				return ProviderTrackingOn
			}
		}
	case "content-location", "content-base":
		return BaseHref
	}
	return ""
}

// off reports the values that switch a thing off.
func off(v string) bool {
	switch strings.ToLower(v) {
	case "false", "no", "0", "none", "off":
		return true
	}
	return false
}

// smtpapiTracks reads SendGrid's header: a filter that is on, or that can't be read.
func smtpapiTracks(value string) bool {
	var api struct {
		Filters map[string]struct {
			Settings struct {
				Enable any `json:"enable"`
			} `json:"settings"`
		} `json:"filters"`
	}
	if json.Unmarshal([]byte(value), &api) != nil {
		return true
	}
	for name, f := range api.Filters {
		switch strings.ToLower(name) {
		case "clicktrack", "opentrack", "ganalytics", "subscriptiontrack":
			if e := f.Settings.Enable; e != nil && !off(fmt.Sprint(e)) {
				return true
			}
		}
	}
	return false
}

// walk goes through the parts of a message.
type walk struct {
	*report
	parts int
}

func (w *walk) part(h textproto.MIMEHeader, body []byte, path string, depth int) {
	if w.parts++; depth > maxDepth || w.parts > maxParts {
		w.add(Finding{Reason: Malformed, Part: path, Detail: "too many parts, or nested too deep"})
		return
	}
	if loc := h.Get("Content-Location"); loc != "" && path != "1" {
		w.add(Finding{Reason: BaseHref, Part: path, Element: "Content-Location", Detail: loc})
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case h.Get("Content-Type") == "":
		kind = "text/plain" // RFC 2045 §5.2
	case err != nil && kind == "":
		w.add(Finding{Reason: Malformed, Part: path, Element: "Content-Type", Detail: err.Error()})
		return
	}
	content, err := decodeTransfer(h.Get("Content-Transfer-Encoding"), body)
	if err != nil {
		w.add(Finding{Reason: Malformed, Part: path, Element: "Content-Transfer-Encoding", Detail: err.Error()})
		return
	}
	disposition, _, _ := mime.ParseMediaType(h.Get("Content-Disposition"))
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		w.multipart(params["boundary"], body, path, depth)
	case kind == "message/external-body":
		w.add(Finding{Reason: RemoteObject, Part: path, Element: kind, Detail: params["url"]})
	case kind == "message/rfc822" || kind == "message/global":
		m, err := mail.ReadMessage(bytes.NewReader(content))
		if err != nil {
			w.add(Finding{Reason: Malformed, Part: path, Detail: err.Error()})
			return
		}
		inner, err := io.ReadAll(m.Body)
		if err == nil {
			w.part(textproto.MIMEHeader(m.Header), inner, path+".1", depth+1)
		}
	case kind == "text/x-amp-html":
		w.add(Finding{Reason: AMPPart, Part: path})
	case kind == "text/html", kind == "application/xhtml+xml", kind == "image/svg+xml":
		if text, ok := w.text(content, params["charset"], path, true); ok {
			w.html(text, path, params["charset"])
		}
	case kind == "text/css":
		if text, ok := w.text(content, params["charset"], path, true); ok {
			w.css(text, path, 1, "style", "")
		}
	case strings.HasPrefix(kind, "text/"):
		text, ok := w.text(content, params["charset"], path, false)
		if kind == "text/plain" && disposition != "attachment" && depth <= 3 {
			w.hasText = true
		}
		if ok {
			w.plain(text, path)
		}
	}
}

func (w *walk) multipart(boundary string, body []byte, path string, depth int) {
	if boundary == "" {
		w.add(Finding{Reason: Malformed, Part: path, Detail: "multipart without a boundary"})
		return
	}
	mr := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 1; ; n++ {
		p, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) {
			return
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(p)
		}
		if err != nil {
			w.add(Finding{Reason: Malformed, Part: path, Detail: err.Error()})
			return
		}
		w.part(p.Header, content, fmt.Sprintf("%s.%d", path, n), depth+1)
		if w.parts > maxParts {
			return
		}
	}
}

func decodeTransfer(encoding string, body []byte) ([]byte, error) {
	switch e := strings.ToLower(strings.TrimSpace(encoding)); e {
	case "", "7bit", "8bit", "binary":
		return body, nil
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "base64":
		clean := bytes.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n", r) {
				return -1
			}
			return r
		}, body)
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(clean)))
	default:
		return nil, fmt.Errorf("unknown encoding %q", e)
	}
}

// text decodes a part by its charset. What can't be decoded as a client would is a finding: UTF-7 hides markup.
func (w *walk) text(content []byte, charset, path string, markup bool) (string, bool) {
	if charset == "" {
		charset = "utf-8"
	}
	if strings.EqualFold(charset, "us-ascii") {
		charset = "utf-8" // whatever is not ASCII in it
	}
	enc, err := htmlindex.Get(charset)
	if err == nil {
		if name, _ := htmlindex.Name(enc); name == "replacement" {
			err = errors.New("replacement")
		}
	}
	if err != nil {
		w.add(Finding{Reason: Charset, Part: path, Element: "Content-Type", Detail: charset})
		return "", false
	}
	out, err := enc.NewDecoder().Bytes(content)
	if err != nil {
		w.add(Finding{Reason: Charset, Part: path, Element: "Content-Type", Detail: charset + ": " + err.Error()})
		return "", false
	}
	if markup && bytes.Contains(content, []byte("+ADw-")) { // "<" in UTF-7, for a client that guesses
		w.add(Finding{Reason: Charset, Part: path, Detail: "UTF-7"})
	}
	return string(out), true
}
