// Command gathering runs pipelines of agents, tools and plain steps.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"gathering/internal/cli"
)

// version is set when the program is built: -ldflags "-X main.version=…".
var version string

// collectAt is how far the heap may grow beyond what is in use before it is
// collected, in percent, where GOGC does not say. What is in use is little:
// runs that wait are in the database. What is passed through it is not.
const collectAt = 400

func main() { os.Exit(run()) }

func run() int {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(collectAt)
	}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gathering: there is no current directory:", err)
		return 1
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	// A signal more than is looked at must not be lost while the first is handled.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	// A write to a pipe that nobody reads any more is an error and not the end.
	// Ignoring the signal would have the programs that are started ignore it too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	system := cli.System{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Lookup: os.LookupEnv, Dir: dir, Signals: signals, Version: version, Host: host, PID: os.Getpid(),
	}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		system.Terminal = func() (width, height int) { return size(fd) }
	}
	return cli.Run(context.Background(), system)
}

// size is that of the terminal, or the usual one where it does not tell.
func size(fd int) (width, height int) {
	width, height, err := term.GetSize(fd)
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}
