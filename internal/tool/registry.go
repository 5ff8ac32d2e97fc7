package tool

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"gathering"
)

// Registry is a fixed set of tools, each under its name. It may be used by
// many goroutines at once. The zero value is empty.
type Registry struct {
	tools map[string]Tool
	specs []gathering.ToolSpec
}

// NewRegistry returns a registry of the given tools, each [Timed] and
// [Validated]. A name that is taken or not made of letters, digits, "_", "-"
// and ".", a missing description and a faulty schema are errors.
func NewRegistry(tools ...Tool) (*Registry, error) {
	names := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,127}$`)
	byName := make(map[string]Tool, len(tools))
	for _, t := range tools {
		spec := t.Spec()
		switch {
		case !names.MatchString(spec.Name):
			return nil, fmt.Errorf("register tool %q: not a name for a tool", spec.Name)
		case spec.Description == "":
			return nil, fmt.Errorf("register tool %s: no description", spec.Name)
		case byName[spec.Name] != nil:
			return nil, fmt.Errorf("register tool %s: the name is taken", spec.Name)
		}
		checked, err := Validated(Timed(t))
		if err != nil {
			return nil, fmt.Errorf("register tool: %w", err)
		}
		byName[spec.Name] = checked
	}
	specs := make([]gathering.ToolSpec, 0, len(byName))
	for t := range maps.Values(byName) {
		specs = append(specs, t.Spec())
	}
	slices.SortFunc(specs, func(a, b gathering.ToolSpec) int { return cmp.Compare(a.Name, b.Name) })
	return &Registry{byName, specs}, nil
}

// Lookup returns the tool of the given name.
func (r *Registry) Lookup(name string) (Tool, bool) {
	t, ok := r.tools[name]
	return t, ok
}

// Specs returns what every tool is, sorted by name. The slice is the caller's.
func (r *Registry) Specs() []gathering.ToolSpec { return slices.Clone(r.specs) }
