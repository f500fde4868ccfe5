package pluginhost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// The test program is its own set of plugins: started by a host it serves the one that its arguments name, or, as an
// external plugin, the one that the name of its file begins with.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "plugin-serve":
		serve(os.Args[2])
		os.Exit(0)
	case len(os.Args) >= 3 && os.Args[1] == "host-serve":
		hostOnly(os.Args[2], append(os.Args[3:], "routed")[0])
		os.Exit(0)
	case os.Getenv("SIGRA_PLUGIN_COOKIE") != "", len(os.Args) == 2 && strings.HasPrefix(os.Args[1], pluginsdk.DebugFlag):
		exe, _ := os.Readlink("/proc/self/exe")
		name, _, _ := strings.Cut(filepath.Base(exe), "-")
		serve(name)
		os.Exit(0)
	}
	// Under go test it is /dev/null already, and nobody could tell whether it was handed down.
	if stdin, err := os.Open("/proc/self/exe"); err == nil {
		os.Stdin = stdin
	}
	_ = os.Setenv("SIGRA_TEST_SECRET", "of the host")
	_ = os.Setenv("SIGRA_TEST_NAMED", "passed by name")
	goleak.VerifyTestMain(m)
}
