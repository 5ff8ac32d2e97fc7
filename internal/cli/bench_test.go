package cli_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

func TestBenchRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		r := d.run("bench", "runs", "--nodes", "2", "--inflight", "3", "--duration", "50ms", "--json").exits(0)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			t.Fatalf("%v in %s", err, r.stdout)
		}
		database := "sqlite"
		if d.env["GATHERING_DATABASE_URL"] != "" {
			database = "postgresql"
		}
		if got["database"] != database || got["nodes"] != 2.0 || got["inflight"] != 3.0 {
			t.Errorf("got %s of %v nodes and %v in flight, want %s of 2 and 3", got["database"], got["nodes"], got["inflight"], database)
		}
		for _, name := range []string{"runs_per_s", "p50_ms", "p99_ms", "limit_runs_per_s", "ratio"} {
			if n, ok := got[name].(float64); !ok || n <= 0 {
				t.Errorf("%s is %v, want a number above 0", name, got[name])
			}
		}
		if files, err := os.ReadDir(d.dir); err != nil || len(files) > 0 {
			t.Errorf("%v (%v) is left", files, err)
		}
		d.run("bench", "runs", "--nodes", "1", "--inflight", "1", "--duration", "10ms").exits(0).says("runs/s", "the bare limit is")
	})
}

// What is measured is written beside what is there, and does not touch it.
func TestBenchRunsSpoilsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("echo.yaml", echo).run("run", "echo.yaml", "--set", "text=world").exits(0)
		before := d.run("runs", "list", "--json").exits(0)
		files := names(t, d.dir+"/data")
		d.run("bench", "runs", "--inflight", "2", "--duration", "10ms").exits(0)
		if after := d.run("runs", "list", "--json").exits(0); after.stdout != before.stdout {
			t.Errorf("before:\n%s\nafter:\n%s", before.stdout, after.stdout)
		}
		if after := names(t, d.dir+"/data"); !slices.Equal(files, after) {
			t.Errorf("got the files %v, want %v", after, files)
		}
	})
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

func TestBenchRunsRefuses(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--nodes=0", "--inflight=-1", "--duration=0s"} {
		newDesk(t).run("bench", "runs", flag).exits(2).tells("--duration more than 0")
	}
}
