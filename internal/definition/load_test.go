package definition_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/definition"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBroken shows what people read who made a mistake.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, "testdata/broken/*.yaml", "testdata/broken/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			def, err := checker().Load(read(t, file))
			faults, ok := errors.AsType[definition.Faults](err)
			if !ok || def != nil {
				t.Fatalf("Load = %v, %v, want faults", def, err)
			}
			var got strings.Builder
			for _, f := range faults {
				got.WriteString(f.Text(filepath.Base(file)) + "\n")
			}
			golden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", got.String())
			if kind := gathering.KindOf(err); kind != gathering.KindInvalid {
				t.Errorf("kind %q, want invalid", kind)
			}
		})
	}
}

// TestValid holds what files mean, and that the canonical form keeps it.
func TestValid(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, "testdata/valid/*.yaml", "testdata/valid/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			def, err := checker().Load(read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			document := roundTrip(t, def)
			golden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", string(document)+"\n")
		})
	}
}

// roundTrip checks that what is encoded loads and decodes to the same.
func roundTrip(t *testing.T, def *gathering.Definition) []byte {
	t.Helper()
	document, err := definition.Encode(def)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	stored := checker()
	stored.File = nil
	loaded, err := stored.Load(document)
	if err != nil {
		t.Fatalf("load %s: %v", document, err)
	}
	if diff := cmp.Diff(def, loaded); diff != "" {
		t.Errorf("loaded differs from what was encoded (-was +is):\n%s", diff)
	}
	decoded, err := definition.Decode(document)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if diff := cmp.Diff(def, decoded); diff != "" {
		t.Errorf("decoded differs from what was encoded (-was +is):\n%s", diff)
	}
	again, err := definition.Encode(loaded)
	if err != nil || string(again) != string(document) {
		t.Errorf("encoded again = %s, %v, want %s", again, err, document)
	}
	return document
}

func files(tb testing.TB, patterns ...string) []string {
	tb.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			tb.Fatalf("no files %s: %v", pattern, err)
		}
		all = append(all, found...)
	}
	return all
}

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(read(t, file)), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}
