package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"
)

// A redirectMessage is a query of the redirect binding (bindings §3.4), taken apart and not yet believed.
type redirectMessage struct {
	parameter  string // SAMLRequest or SAMLResponse
	xml        []byte
	relayState string
	algorithm  string
	signature  []byte
	octets     string // what the signature is over: the query as it came, since others escape otherwise than we do
}

// decodeRedirect reads a raw query.
func decodeRedirect(query string) (*redirectMessage, error) {
	if len(query) > messageLimits.bytes {
		return nil, refuse(GateTooLarge, "the query is larger than %d bytes", messageLimits.bytes)
	}
	raw, values, err := splitQuery(query)
	if err != nil {
		return nil, err
	}
	m := &redirectMessage{parameter: "SAMLRequest", relayState: values["RelayState"], algorithm: values["SigAlg"]}
	_, response := raw["SAMLResponse"]
	if _, request := raw["SAMLRequest"]; request && response {
		return nil, refuse(GateDuplicateParameter, "the query has both a SAMLRequest and a SAMLResponse")
	} else if !request && !response {
		return nil, refuse(GateEncoding, "the query has neither a SAMLRequest nor a SAMLResponse")
	}
	if response {
		m.parameter = "SAMLResponse"
	}
	if encoding, ok := values["SAMLEncoding"]; ok && encoding != "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE" {
		return nil, refuse(GateEncoding, "the message is not encoded with DEFLATE").got(encoding)
	}
	deflated, err := base64.StdEncoding.Strict().DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(values[m.parameter]))
	if err != nil {
		return nil, refuse(GateEncoding, "the message is not base64: %v", err)
	}
	if m.xml, err = inflate(deflated, messageLimits.bytes); err != nil {
		return nil, err
	}
	m.octets = m.parameter + "=" + raw[m.parameter]
	if relay, ok := raw["RelayState"]; ok {
		m.octets += "&RelayState=" + relay
	}
	if algorithm, ok := raw["SigAlg"]; ok {
		m.octets += "&SigAlg=" + algorithm
	}
	if encoded, ok := values["Signature"]; ok {
		if m.signature, err = base64.StdEncoding.DecodeString(withoutSpace(encoded)); err != nil || len(m.signature) == 0 {
			return nil, refuse(GateSignatureInvalid, "the Signature is empty or not base64")
		}
	}
	return m, nil
}

// splitQuery returns the binding's parameters as written and unescaped. None may come twice: two readers would take two of them.
func splitQuery(query string) (raw, values map[string]string, err error) {
	raw, values = map[string]string{}, map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, nil, refuse(GateEncoding, "the query is not URL-encoded: %v", err)
		}
		switch name {
		case "SAMLRequest", "SAMLResponse", "SAMLEncoding", "RelayState", "SigAlg", "Signature":
		default:
			continue
		}
		if _, twice := raw[name]; twice {
			return nil, nil, refuse(GateDuplicateParameter, "the query has %s twice", name)
		}
		if values[name], err = url.QueryUnescape(value); err != nil {
			return nil, nil, refuse(GateEncoding, "the query is not URL-encoded: %v", err)
		}
		raw[name] = value
	}
	return raw, values, nil
}

// inflate undoes DEFLATE and stops at the limit, whatever the stream would grow to.
func inflate(deflated []byte, most int) ([]byte, error) {
	source := bytes.NewReader(deflated)
	reader := flate.NewReader(source)
	out, err := io.ReadAll(io.LimitReader(reader, int64(most)+1))
	switch {
	case len(out) > most:
		return nil, refuse(GateTooLarge, "the message inflates to more than %d bytes", most)
	// A zero-length end block is often left away by a compressor that was flushed and not closed.
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF), len(out) == 0:
		return nil, refuse(GateEncoding, "the message is not a DEFLATE stream")
	case source.Len() > 0:
		return nil, refuse(GateEncoding, "there is more after the message's DEFLATE stream")
	case !looksLikeXML(out):
		return nil, refuse(GateEncoding, "what was compressed is not XML in UTF-8")
	}
	return out, nil
}

// verify checks the signature over the query (bindings §3.4.4.1).
func (m *redirectMessage) verify(k keys) (Signed, error) {
	if m.signature == nil || m.algorithm == "" {
		return Signed{}, refuse(GateSignatureMissing, "the %s is not signed", m.parameter)
	}
	method, err := signatureMethod(m.algorithm)
	if err != nil {
		return Signed{}, err
	}
	if len(k.certificates) == 0 {
		return Signed{}, refuse(GateNoCertificate, "no certificate of the identity provider is configured")
	}
	var expired error
	for _, cert := range k.certificates {
		if !fits(cert, method) || CheckCertificate(cert) != nil {
			continue
		}
		value, ok := signatureFor(cert, m.signature)
		if !ok || cert.CheckSignature(method, []byte(m.octets), value) != nil {
			continue
		}
		if !k.ignoreDates && !current(cert, k.now) {
			expired = outOfDate(cert, k.now)
			continue
		}
		return Signed{Element: m.parameter, Algorithm: m.algorithm, Certificate: cert}, nil
	}
	if expired != nil {
		return Signed{}, expired
	}
	return Signed{}, refuse(GateSignatureInvalid, "the signature of the %s was not made with a configured key over this query", m.parameter)
}

// redirectURL writes a message for the redirect binding to location, signed if signer is not nil.
func redirectURL(location, parameter string, xml []byte, relayState string, signer *Signer) (string, error) {
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(xml); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	query := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes()))
	if relayState != "" {
		query += "&RelayState=" + url.QueryEscape(relayState)
	}
	if signer != nil {
		query += "&SigAlg=" + url.QueryEscape(rsaSHA256)
		value, err := signer.sign(crypto.SHA256, []byte(query))
		if err != nil {
			return "", err
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(value))
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + query, nil
}

// RefuseRedirectResponse is the answer to a GET of the assertion consumer service: profiles §4.1.2 allows no Response there.
func RefuseRedirectResponse() error {
	return refuse(GateBinding, "a Response does not come by redirect; it has to be posted").want(BindingPOST, BindingRedirect)
}

// CheckRelayState says whether a RelayState that came with a response that answers no request is one that we could have registered:
// an opaque name. URLs are never followed (open redirect).
func CheckRelayState(value string) error {
	if len(value) > maxRelayState {
		return refuse(GateRelayState, "the RelayState is longer than %d bytes", maxRelayState).got(value)
	}
	if value != "" && !ncName.MatchString(value) {
		return refuse(GateRelayState, "the RelayState is not the name of a target").got(value)
	}
	return nil
}

func withinSkew(now, until time.Time, skew time.Duration) bool {
	return until.IsZero() || now.Add(-skew).Before(until)
}

// LooksLikeLogout says whether a query holds a message of single logout, verified or not. It decides nothing but which check a message is
// held against.
func LooksLikeLogout(query string) bool {
	m, err := decodeRedirect(query)
	if err != nil {
		return !strings.Contains(query, "SAMLResponse=") || strings.Contains(query, "SAMLRequest=")
	}
	return bytes.Contains(m.xml[:min(len(m.xml), 512)], []byte("LogoutRe"))
}
