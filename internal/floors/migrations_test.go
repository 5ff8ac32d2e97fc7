package floors_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMigrations holds that every directory of migrations has one directory
// per dialect and that these hold files of the same names, so that a version
// means the same everywhere.
func TestMigrations(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || entry.Name() != "migrations" {
			return err
		}
		found++
		compareDialects(t, path)
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no directory of migrations found")
	}
}

func compareDialects(t *testing.T, dir string) {
	t.Helper()
	dialects, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	byDialect := map[string][]string{}
	first := ""
	for _, dialect := range dialects {
		if !dialect.IsDir() {
			continue
		}
		if first == "" {
			first = dialect.Name()
		}
		files, err := os.ReadDir(filepath.Join(dir, dialect.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file.Name(), ".sql") {
				byDialect[dialect.Name()] = append(byDialect[dialect.Name()], file.Name())
			}
		}
	}
	if len(byDialect) < 2 {
		t.Errorf("%s: migrations for %d dialects, want one directory for each of two", dir, len(byDialect))
	}
	for name, files := range byDialect {
		if diff := cmp.Diff(byDialect[first], files); diff != "" {
			t.Errorf("%s: migrations of %s (-) and %s (+) differ:\n%s", dir, first, name, diff)
		}
	}
}
