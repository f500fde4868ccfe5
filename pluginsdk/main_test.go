package pluginsdk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// childBinary is testdata/child, built once for all tests.
var childBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sigra-pluginsdk")
	if err == nil {
		childBinary = filepath.Join(dir, "child")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", childBinary, "./testdata/child").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the test's child:", err)
	} else if code = m.Run(); code == 0 {
		if err := goleak.Find(
			// go-plugin's client never ends the copy of a stream that its server left.
			goleak.IgnoreTopFunction("github.com/hashicorp/go-plugin.(*gRPCBrokerClientImpl).Recv"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
