package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

func TestEnv(t *testing.T) {
	t.Parallel()
	src := `
data_dir = "${env("HOME_DIR")}/sigra"
keyring {
  root_key = env("KEY")
}
registration {
  code_attempts = env("N")
  enabled       = env("B")
}
logging {
  level = env("LEVEL", "warn")
}
mail {
  service_name = env("EMPTY", "Default")
}
`
	c := valid(t, src, "HOME_DIR=/srv", "KEY=wrong", "KEY="+rootKey, "N=7", "B=false", "EMPTY=")
	if c.DataDir != "/srv/sigra" || c.Keyring.RootKey.Reveal() != rootKey || c.Registration.CodeAttempts != 7 || c.Registration.Enabled ||
		c.Logging.Level != "warn" || c.Mail.ServiceName != "Default" {
		t.Errorf("%+v", c)
	}
}

func TestEnv_ofTheProcess(t *testing.T) {
	t.Setenv("SIGRA_TEST_DATA_DIR", "/from/the/process")
	c, ds := config.Parse([]byte(`data_dir = env("SIGRA_TEST_DATA_DIR")`), "sigra.hcl")
	if ds.HasErrors() || c.DataDir != "/from/the/process" {
		t.Errorf("%v %+v", ds, c)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key", rootKey+"\n")
	write("crlf", rootKey+"\r\n")
	write("two", rootKey+"\n\n")
	write("edge", strings.Repeat("x", 64<<10))
	write("binary", "\xff\xfe\x00")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(value string) (*config.Config, config.Diagnostics) {
		return config.Loader{Environ: []string{}}.Parse([]byte(in("keyring.root_key", value)), filepath.Join(dir, "sigra.hcl"))
	}
	for _, name := range []string{"key", "crlf", dir + "/key", "./key"} {
		if c, ds := load(`file("` + name + `")`); ds.HasErrors() || c.Keyring.RootKey.Reveal() != rootKey {
			t.Errorf("%s: %v", name, ds)
		}
	}
	for name, phrase := range map[string]string{
		"two": "white space", "edge": "bytes long, not 32", "binary": "not valid UTF-8", "pipe": "not a regular file", "nothing": "no such file", ".": "not a regular file", "key/x": "can't be read",
	} {
		c, ds := load(`file("` + name + `")`)
		if c != nil || len(ds) != 1 || !strings.Contains(strings.ToLower(ds.String()), strings.ToLower(phrase)) {
			t.Errorf("%s: %v", name, ds)
		}
	}
}

// Every relative path starts at the file's folder, wherever Sigra was started.
func TestParse_relativePaths(t *testing.T) {
	t.Parallel()
	c, ds := config.Parse([]byte("plugin \"p\" {\n source = \"bin/p\"\n sha256 = \""+strings.Repeat("5f", 32)+"\"\n}"), "/etc/sigra/sigra.hcl")
	if ds.HasErrors() || c.DataDir != "/etc/sigra/sigra-data" || c.Plugins[0].Source != "/etc/sigra/bin/p" {
		t.Errorf("%v %+v", ds, c)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sigra.hcl")
	if err := os.WriteFile(path, []byte(config.Example()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, ds := config.Load(path)
	if len(ds) != 0 || c.DataDir != filepath.Join(dir, "sigra-data") {
		t.Errorf("%v %+v", ds, c)
	}
	big := filepath.Join(dir, "big.hcl")
	if err := os.WriteFile(big, make([]byte, 256<<10+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, phrase := range map[string]string{
		filepath.Join(dir, "none.hcl"): "error: there is no such file", dir: "not a regular file", big: "larger than 256 KiB", "/dev/null": "not a regular file",
	} {
		c, ds := config.Load(path)
		if c != nil || len(ds) != 1 || ds[0].File != path || !strings.HasPrefix(ds.String(), path+": error: ") || !strings.Contains(ds.String(), phrase) {
			t.Errorf("%s: %v", path, ds)
		}
	}
}

// Windows editors write CRLF; some put a byte order mark in front.
func TestParse_lineEnds(t *testing.T) {
	t.Parallel()
	valid(t, strings.ReplaceAll(config.Example(), "\n", "\r\n"))
	_, ds := parse(t, "server {\r\n  lisen = \"x\"\r\n}\r\n")
	if len(ds) != 1 || ds[0].Line != 2 || ds[0].Column != 3 || strings.Contains(ds[0].Source, "\r") {
		t.Errorf("%+v", ds)
	}
	if _, ds := parse(t, "\ufeff"+config.Example()); ds.HasErrors() {
		t.Errorf("a byte order mark is no mistake: %v", ds)
	}
}
