package floors_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of docs/ARCHITECTURE.md instead of comparing them")

// TestArchitecture holds that the tables in docs/ARCHITECTURE.md are the ones
// that the tests enforce. `make tables` writes them.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "docs", "ARCHITECTURE.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	want = replaceTable(t, want, "floors", floorTable())
	want = replaceTable(t, want, "libraries", libraryTable())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("docs/ARCHITECTURE.md differs from the tables in internal/floors; run make tables (-want +got):\n%s", diff)
	}
}

// replaceTable puts table between the comments that open and close name.
func replaceTable(t *testing.T, document, name, table string) string {
	t.Helper()
	begin, end := "<!-- table: "+name+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("docs/ARCHITECTURE.md has no table between %q and %q", begin, end)
	}
	return before + begin + table + end + after
}

func floorTable() string {
	var b strings.Builder
	b.WriteString("| floor | package | what it is | of this module it may import |\n|---|---|---|---|\n")
	for _, f := range floors() {
		imports := "floors below"
		if f.only != nil {
			imports = allowed(f.only)
		}
		for _, path := range f.beside {
			imports += ", " + display(path)
		}
		about := f.about
		if f.tests {
			about += " (tests only)"
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", f.height, display(f.path), about, imports)
	}
	return b.String()
}

func libraryTable() string {
	var b strings.Builder
	b.WriteString("| library | for | imported by |\n|---|---|---|\n")
	for _, lib := range libraries() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", lib.module, lib.about, lib.usedBy())
	}
	return b.String()
}

// TestLinks holds that the documents link only to files that exist and speak
// only of make targets that exist.
func TestLinks(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	target := regexp.MustCompile("`make ([a-z-]+)")
	for _, path := range documents(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			}
		}
		for _, match := range target.FindAllStringSubmatch(string(data), -1) {
			if !strings.Contains(string(makefile), "\n"+match[1]+":") {
				t.Errorf("%s speaks of make %s, which the Makefile has not", path, match[1])
			}
		}
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(top, docs)
}
