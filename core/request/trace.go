package request

import "regexp"

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// ValidTraceparent is a traceparent header that is well-formed (W3C Trace Context §3.2), or nothing.
func ValidTraceparent(s string) string {
	if len(s) != 55 || !traceparent.MatchString(s) || s[:2] == "ff" {
		return ""
	}
	return s
}
