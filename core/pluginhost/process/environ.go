package process

import (
	"os"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// ambient are the variables every plugin gets when the host has them: how to tell time and language, how to reach the
// network and whom to trust there. Hosts that passed nothing at all had to add these one by one.
var ambient = []string{
	"TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

// environ is the whole environment of a child: what go-plugin needs, the lifeline, ambient, and what the block names.
// The host's own environment holds secrets (root key, database url) and never goes through.
func environ(protocol, byName []string, lookup func(string) (string, bool)) []string {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	out := slices.Clone(protocol)
	out = append(out, pluginsdk.LifelineEnv+"=3")
	taken := map[string]bool{}
	for _, kv := range out {
		k, _, _ := strings.Cut(kv, "=")
		taken[k] = true
	}
	for _, name := range slices.Concat(byName, ambient) {
		if v, ok := lookup(name); ok && !taken[name] {
			taken[name] = true
			out = append(out, name+"="+v)
		}
	}
	return out
}
