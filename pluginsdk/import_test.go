package pluginsdk_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Third parties depend on this package: it links nothing of Sigra's core, no database driver and no HCL, and takes no
// module that is not named here.
func TestImports_stayLight(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadDir("testdata/child"); err != nil { // what TestMain builds: Go keeps the results of tests by the files that they read
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	allowed := []string{
		"github.com/sigra-auth/sigra/pluginsdk", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
		"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc",
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text",
		"github.com/agext/levenshtein", // of pluginsdk/lang: the key that was probably meant; it links nothing itself
		// of go-plugin and go-hclog
		"github.com/hashicorp/yamux", "github.com/oklog/run", "github.com/golang/protobuf",
		"github.com/fatih/color", "github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	}
	for path := range strings.FieldsSeq(string(out)) {
		ok := false
		for _, a := range allowed {
			ok = ok || path == a || strings.HasPrefix(path, a+"/")
		}
		if !ok || strings.HasPrefix(path, "github.com/sigra-auth/sigra/pluginsdk/storage") {
			t.Errorf("pluginsdk links %s", path)
		}
	}
}
