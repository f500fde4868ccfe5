package saml

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// decodeForm reads the form value of the POST binding. Sizes come first, so that nothing large is decoded (CVE-2025-54572).
func decodeForm(value string, max limits) ([]byte, error) {
	most := base64.StdEncoding.EncodedLen(max.bytes)
	if len(value) > most+most/16 { // line ends: some products send base64 in lines
		return nil, refuse(GateTooLarge, "the message is larger than %d bytes", max.bytes)
	}
	value = strings.NewReplacer("\r", "", "\n", "").Replace(value)
	if value == "" {
		return nil, refuse(GateEncoding, "the message is empty")
	}
	// Strict: a lenient decoder reads another text than the filters in front of it.
	raw, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, refuse(GateEncoding, "the message is not base64: %v", err)
	}
	if len(raw) > max.bytes {
		return nil, refuse(GateTooLarge, "the message is larger than %d bytes", max.bytes)
	}
	if !looksLikeXML(raw) {
		return nil, refuse(GateEncoding, "what was encoded is not XML in UTF-8").got(string(bytes.ToValidUTF8(raw[:min(len(raw), 40)], []byte("?"))))
	}
	return raw, nil
}

func looksLikeXML(raw []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, xmlSpace), []byte("<"))
}
