// Package config gives flags that are not on the command line their values, from
// the environment and from a file.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"gathering"
)

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	if flag == "database" {
		return "GATHERING_DATABASE_URL"
	}
	return "GATHERING_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Help is a flag's help with its environment variable.
func Help(value *kong.Value) string {
	if value.Flag == nil || value.Name == "help" {
		return value.Help
	}
	return value.Help + " ($" + Variable(value.Name) + ")"
}

// Values gives flags that are not on the command line their values: from the
// environment or else from the configuration file.
type Values struct {
	lookup func(name string) (string, bool)
	file   map[string]any
}

// Read reads the configuration file that the arguments or the environment name,
// before the arguments are parsed. Absolute makes a path as it was given one
// from the root. What is wrong in the file is an error of kind invalid.
func Read(app *kong.Application, args []string, lookup func(name string) (string, bool), absolute func(path string) string) (*Values, error) {
	c := &Values{lookup: lookup}
	path, _ := lookup(Variable("config"))
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			path = value
		} else if arg == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return c, nil
	}
	var err error
	c.file, err = readFile(absolute(path), path)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	flagNames(app.Node, known)
	for name, value := range c.file {
		many, ok := known[name]
		if !ok {
			return nil, gathering.NewError(gathering.KindInvalid, "%s: there is no flag %q; the flags are %s",
				path, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if _, list := value.([]any); list && !many {
			return nil, gathering.NewError(gathering.KindInvalid, "%s: %s needs a text or a number, not a list", path, name)
		}
	}
	return c, nil
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

func readFile(path, shown string) (map[string]any, error) {
	file, err := os.Open(path) //nolint:gosec // the file is the caller's choice
	if err != nil {
		return nil, unreadable(shown, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, unreadable(shown, err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, gathering.NewError(gathering.KindInvalid, "%s is not a YAML file of flag names and values", shown).WithCause(err)
	}
	values := make(map[string]any, len(raw))
	for name, value := range raw {
		text, ok := flagText(value)
		if !ok {
			return nil, gathering.NewError(gathering.KindInvalid, "%s: %s needs a text, a number or a list of them", shown, name)
		}
		values[strings.ReplaceAll(name, "_", "-")] = text
	}
	return values, nil
}

// flagText is a value of the file as flags take it: a text, or a list of
// texts. It reports false for any other.
func flagText(value any) (any, bool) {
	switch value := value.(type) {
	case nil, map[string]any:
		return nil, false
	case []any:
		texts := make([]any, len(value))
		for i, item := range value {
			text, ok := flagText(item)
			if _, list := text.([]any); !ok || list {
				return nil, false
			}
			texts[i] = text
		}
		return texts, true
	default:
		return fmt.Sprint(value), true
	}
}

func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return gathering.NewError(gathering.KindInvalid, "there is no file %s", path).WithCause(err)
	}
	return gathering.NewError(gathering.KindInvalid, "%s cannot be read", path).WithCause(err)
}

// flagNames notes the name of every flag below a command, and whether it takes
// a list.
func flagNames(node *kong.Node, known map[string]bool) {
	for _, flag := range node.Flags {
		if flag.Name != "help" {
			known[flag.Name] = flag.IsSlice()
		}
	}
	for _, child := range node.Children {
		flagNames(child, known)
	}
}

// Validate implements [kong.Resolver].
func (c *Values) Validate(*kong.Application) error { return nil }

// Resolve implements [kong.Resolver].
func (c *Values) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Name == "help" {
		return nil, nil //nolint:nilnil // no value
	}
	if value, ok := c.lookup(Variable(flag.Name)); ok && value != "" {
		return value, nil
	}
	if value, ok := c.file[flag.Name]; ok {
		return value, nil
	}
	return nil, nil //nolint:nilnil // no value
}
