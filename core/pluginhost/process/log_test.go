package process_test

import (
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/pluginhost/process"
)

func FuzzLogLine(f *testing.F) {
	for _, s := range []string{`{"@level": 5}`, `{"@message":[],"@timestamp":{}}`, "panic: x", `{"a":{"b":[1,2,{"c":null}]}}`, "\xff\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, msg, pairs := process.ParseLogLine(b, false)
		if len(pairs)%2 != 0 || strings.ContainsAny(msg, "\x00\n\r\x1b") {
			t.Errorf("%q became %q %v", b, msg, pairs)
		}
	})
}
