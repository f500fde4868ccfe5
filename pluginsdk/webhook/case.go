package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Case is a recorded request, with what its receiver knows.
type Case struct {
	ID       string          `json:"id"`
	Title    string          `json:"title"`
	Clock    int64           `json:"clock"`    // the receiver's time, Unix seconds
	Config   json.RawMessage `json:"config"`   // of the receiver
	Sequence string          `json:"sequence"` // cases with one value go to one receiver, one after the other
	Recorded Recorded        `json:"request"`
	Expect   json.RawMessage `json:"expect"` // what is said to come of it
}

// Recorded is the request itself.
type Recorded struct {
	Headers  [][2]string `json:"headers"` // in the order of the wire; a name may come twice
	Body     string      `json:"body"`
	Encoding string      `json:"body_encoding"` // "utf8", or "base64"
	Peer     string      `json:"peer"`          // the address it came from
}

// File is a file of cases.
type File struct {
	Config json.RawMessage // what all of them share
	Cases  []Case
}

// ReadFile reads cases: an object with a list of them, a list, or one case alone.
func ReadFile(b []byte) (f File, err error) {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		return f, readError(json.Unmarshal(b, &f.Cases))
	}
	var o struct {
		Cases   []Case          `json:"cases"`
		Config  json.RawMessage `json:"config"`
		Request json.RawMessage `json:"request"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return f, readError(err)
	}
	if o.Request != nil {
		f.Cases = make([]Case, 1)
		return f, readError(json.Unmarshal(b, &f.Cases[0]))
	}
	if o.Cases == nil {
		return f, errors.New("there are no cases in it: neither a list named cases nor a request")
	}
	// What stands beside the cases is shared, too: certificates, for one.
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return f, readError(err)
	}
	for _, name := range []string{"cases", "config", "about", "format"} {
		delete(all, name)
	}
	beside, err := json.Marshal(all)
	if err != nil {
		return f, err
	}
	if f.Config, err = Overlay(beside, o.Config); err != nil {
		return f, err
	}
	f.Cases = o.Cases
	return f, nil
}

func readError(err error) error {
	if err != nil {
		return fmt.Errorf("it is not the JSON of cases: %w", err)
	}
	return nil
}

// Request gives the request with the bytes of its body.
func (c Case) Request() (Request, error) { return c.Recorded.Request() }

// At is the receiver's time.
func (c Case) At() time.Time { return time.Unix(c.Clock, 0).UTC() }

// Request gives the request with the bytes of its body.
func (r Recorded) Request() (out Request, err error) {
	out.Header = http.Header{}
	for _, h := range r.Headers {
		out.Header.Add(h[0], h[1])
	}
	switch r.Encoding {
	case "", "utf8":
		out.Body = []byte(r.Body)
	case "base64":
		if out.Body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return out, fmt.Errorf("the body is not base64: %w", err)
		}
	default:
		return out, fmt.Errorf("body_encoding is utf8 or base64, not %q", r.Encoding)
	}
	if r.Peer != "" {
		host := r.Peer
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if out.Peer, err = netip.ParseAddr(host); err != nil {
			return out, fmt.Errorf("peer: %w", err)
		}
		out.Peer = out.Peer.Unmap()
	}
	return out, nil
}

// Overlay gives a JSON object with the members of all: of a name that several have, the last one's. Null and nothing add nothing.
func Overlay(objects ...json.RawMessage) (json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, o := range objects {
		if len(o) == 0 || string(o) == "null" {
			continue
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(o, &m); err != nil {
			return nil, fmt.Errorf("settings must be a JSON object: %w", err)
		}
		for k, v := range m {
			out[k] = v
		}
	}
	return json.Marshal(out)
}
