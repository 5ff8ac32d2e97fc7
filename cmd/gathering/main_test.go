package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gathering/internal/store/storetest"
)

// asProgram makes the test binary be the program.
const asProgram = "GATHERING_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run())
	}
	if os.Getenv(asLoader) != "" {
		os.Exit(load())
	}
	// Tests that run under nohup ignore this signal, and so would the programs
	// that they start: those must not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	storetest.Main(m)
}

// TestScripts runs the scenarios in testdata. In them, gathering is the program.
func TestScripts(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o750); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv(asProgram, "1")
			env.Setenv("OLLAMA_HOST", "127.0.0.1:1")
			return os.Symlink(self, filepath.Join(bin, "gathering"))
		},
	})
}
