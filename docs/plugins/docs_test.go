package plugins_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

// Every block of code in the guide is, word for word, part of a file that is compiled and tested.
func TestAuthoring_showsWhatIsTested(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	fence := regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```(\\w*)\n(.*?)```\n")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			file, code := m[1], m[3]
			if file == "" {
				t.Errorf("%s: this block names no file that it is from:\n%s", page, code)
				continue
			}
			src, err := os.ReadFile(filepath.FromSlash(file))
			if err != nil {
				t.Errorf("%s: %v", page, err)
			} else if !strings.Contains(string(src), code) {
				t.Errorf("%s: this is not in %s:\n%s", page, file, code)
			}
		}
	}
}

// The links inside the repository lead somewhere.
func TestAuthoring_links(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("authoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
			t.Error(err)
		}
	}
}

// Every block that is shown can be pasted: it is right, and there is one for each example.
func TestExamples_blocksAreValid(t *testing.T) {
	t.Parallel()
	blocks, err := filepath.Glob("examples/*/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(dirs) != len(blocks) {
		t.Errorf("%d examples have %d blocks, %v", len(dirs), len(blocks), err)
	}
	for _, file := range append(blocks, "examples/debug.hcl", "node/hello_node.hcl") {
		if _, diags := config.Load(filepath.FromSlash(file)); diags.HasErrors() {
			t.Errorf("%s", diags)
		}
	}
}
