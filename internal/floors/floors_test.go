// Package floors_test guards the shape of the module: who may import whom, who
// may use which library, how SQL is written, and that the documents say so.
package floors_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "gathering"

// root is the module's directory as seen from this package.
const root = "../.."

// listed is what the go command says of a package.
type listed struct {
	ImportPath, Name, Dir string
	Doc                   string // the first sentence
	Problem               string // why it cannot be loaded, or ""
	GoFiles               []string
	Imports               []string
	TestImports           []string // of its tests, inside the package and beside it
}

// listFormat is a line of fields per package, in the order of listed.
const listFormat = `{{.ImportPath}}|{{.Name}}|{{.Dir}}|{{.Doc}}|{{with .Error}}{{printf "%q" .Err}}{{end}}|` +
	`{{join .GoFiles " "}}|{{join .Imports " "}}|{{join .TestImports " "}} {{join .XTestImports " "}}`

// production reports whether p holds more than tests.
func (p listed) production() bool { return len(p.GoFiles) > 0 }

// path is p's place within the module; "" is the root.
func (p listed) path() string { return within(p.ImportPath) }

// within turns an import path of this module into a path within it.
func within(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// foreign reports whether importPath belongs to neither this module nor the
// standard library, whose paths have no dot in their first element.
func foreign(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

// list asks the go command once for every package of the module.
var list = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.Command("go", "list", "-e", "-f", listFormat, "./...")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	var packages []listed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(f) != strings.Count(listFormat, "|")+1 {
			return nil, fmt.Errorf("unexpected line %q", line)
		}
		packages = append(packages, listed{
			ImportPath: f[0], Name: f[1], Dir: f[2], Doc: f[3], Problem: f[4],
			GoFiles: strings.Fields(f[5]), Imports: strings.Fields(f[6]), TestImports: strings.Fields(f[7]),
		})
	}
	return packages, nil
})

func packages(t *testing.T) []listed {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatalf("list the module's packages: %v", err)
	}
	for _, p := range all {
		if p.Problem != "" {
			t.Errorf("%s: %s", p.ImportPath, p.Problem)
		}
	}
	return all
}

func byPath() map[string]floor {
	table := map[string]floor{}
	for _, f := range floors() {
		table[f.path] = f
	}
	return table
}

func display(path string) string {
	if path == "" {
		return module
	}
	return path
}

// TestTable holds that the table names the packages that exist, each once.
func TestTable(t *testing.T) {
	t.Parallel()
	table := byPath()
	if got, want := len(table), len(floors()); got != want {
		t.Errorf("the table has %d lines for %d packages: one is named twice", want, got)
	}
	there := map[string]bool{}
	for _, p := range packages(t) {
		if !p.production() {
			continue
		}
		there[p.path()] = true
		if _, ok := table[p.path()]; !ok {
			t.Errorf("package %s has no line in the table of floors: give it one in internal/floors/table_test.go", display(p.path()))
		}
	}
	for _, f := range floors() {
		if !there[f.path] {
			t.Errorf("the table of floors names %s, which does not exist: remove its line", display(f.path))
		}
		if f.tests != strings.HasSuffix(f.path, "test") {
			t.Errorf("%s: a package is made for tests exactly when its name ends in test", f.path)
		}
	}
}

// TestFloors holds that a package imports only from floors below, or what its
// line allows.
func TestFloors(t *testing.T) {
	t.Parallel()
	table := byPath()
	for _, p := range packages(t) {
		from, ok := table[p.path()]
		if !ok {
			continue // TestTable reports it
		}
		for _, imported := range p.Imports {
			to, ok := table[within(imported)]
			if !ours(imported) || !ok {
				continue
			}
			if problem := from.mayNot(to); problem != "" {
				t.Errorf("%s imports %s: %s", display(from.path), display(to.path), problem)
			}
		}
	}
}

// mayNot says why f may not import to, or "".
func (f floor) mayNot(to floor) string {
	switch {
	case to.tests && !f.tests:
		return "that is made for tests"
	case slices.Contains(f.beside, to.path):
		return ""
	case to.height >= f.height:
		return "that stands on the same floor or above"
	case f.only != nil && !slices.Contains(f.only, to.path):
		return "its line in the table allows " + allowed(f.only)
	}
	return ""
}

func allowed(paths []string) string {
	if len(paths) == 0 {
		return "nothing of this module"
	}
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = display(path)
	}
	return "only " + strings.Join(names, ", ")
}

// TestLibraries holds that every module from elsewhere has a line and is
// imported only by the packages named there.
func TestLibraries(t *testing.T) {
	t.Parallel()
	table := byPath()
	used := map[string]bool{}
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			lib, known := libraryOf(imported)
			used[lib.module] = true
			switch {
			case !foreign(imported):
			case !known:
				t.Errorf("%s imports %s, a library without a line in internal/floors/table_test.go", p.ImportPath, imported)
			case lib.users == nil && table[p.path()].tests:
			case !slices.Contains(lib.users, p.path()):
				t.Errorf("%s imports %s, which is for %s", p.ImportPath, imported, lib.usedBy())
			}
		}
		for _, imported := range p.TestImports {
			lib, known := libraryOf(imported)
			used[lib.module] = true
			if foreign(imported) && !known {
				t.Errorf("tests of %s import %s, a library without a line in internal/floors/table_test.go", p.ImportPath, imported)
			}
		}
	}
	for _, lib := range libraries() {
		if !used[lib.module] {
			t.Errorf("the table of libraries names %s, which nothing imports: remove its line", lib.module)
		}
	}
}

func libraryOf(importPath string) (library, bool) {
	for _, lib := range libraries() {
		if importPath == lib.module || strings.HasPrefix(importPath, lib.module+"/") {
			return lib, true
		}
	}
	return library{}, false
}

func (l library) usedBy() string {
	if l.users == nil {
		return "tests"
	}
	return strings.Join(l.users, ", ")
}

// TestProduction holds what is asked of every package that is not a test.
func TestProduction(t *testing.T) {
	t.Parallel()
	table := byPath()
	for _, p := range packages(t) {
		if !p.production() {
			continue
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + filepath.Base(p.Dir) + " "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its doc comment begins %q, want %q", p.ImportPath, p.Doc, want)
		}
		if table[p.path()].tests {
			continue
		}
		for _, imported := range p.Imports {
			if why, ok := never()[imported]; ok {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		if got := lines(t, p); got > maxPackageLines && p.path() != "internal/api" {
			t.Errorf("%s: %d lines of code, want at most %d", p.ImportPath, got, maxPackageLines)
		}
	}
}

// lines counts the lines of p on which code stands.
func lines(t *testing.T, p listed) int {
	t.Helper()
	n := 0
	for _, name := range p.GoFiles {
		source, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n += codeLines(source)
	}
	return n
}

func codeLines(source []byte) int {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0) // comments are skipped
	n, last := 0, 0
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return n
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // the scanner's own, at the end of a line
		}
		first := file.Line(pos)
		end := first + strings.Count(text, "\n")
		n += end - max(last, first-1)
		last = end
	}
}

func TestCodeLines(t *testing.T) {
	t.Parallel()
	const source = "// Package x is.\npackage x\n\n/* a\nb */\nvar (\n\ta = `1\n2\n3` // c\n\n\tb = a + a\n)\n"
	if got, want := codeLines([]byte(source)), 7; got != want {
		t.Errorf("%d lines of code, want %d in\n%s", got, want, source)
	}
}
