package definition

import (
	"encoding/json"
	"slices"

	"gathering"
)

// Kind describes one kind of node.
type Kind struct {
	Name, Summary string
	Fields        []Field
	// OneOf names fields of which a node has exactly one.
	OneOf []string
	// Branches lists the branches that a node with this config can take. Nil,
	// as a function or as its result, is none.
	Branches func(config map[string]json.RawMessage) []string
	// Resolve turns sugar into the node that it stands for, when a definition
	// is loaded; nil is none. The fields of its error are paths within the
	// node. What it returns is checked as the kind that it then has.
	Resolve func(node gathering.Node) (gathering.Node, error)
	// MaxIn is how many edges may lead to a node: -1 is any number, and 0 makes
	// the kind a trigger, of which a definition has exactly one.
	MaxIn int
	// Refused are fields that nodes have whatever their kind, and those of this
	// kind have not; with what to do instead.
	Refused map[string]string
	// NoItem says what to do instead of having a map do a node of this kind for
	// each item; "" where a map may.
	NoItem string
	// Check finds what is wrong between a node and the edges that lead to it,
	// of which there are in. The paths of its faults are within the node. Nil
	// finds nothing.
	Check func(config map[string]json.RawMessage, in int) []Fault
}

func (k *Kind) trigger() bool { return k.MaxIn == 0 }

func (k *Kind) field(name string) *Field {
	for i := range k.Fields {
		if k.Fields[i].Name == name {
			return &k.Fields[i]
		}
	}
	return nil
}

// Field describes one field that belongs to a kind.
type Field struct {
	Name     string
	Type     FieldType
	Required bool
	Summary  string   // what to write there, as in "the tool to call"
	Values   []string // of a FieldEnum or FieldCount
	Min, Max int      // of a FieldInt or FieldCount
	// With names the field that this one goes with: it is required beside that
	// one, and refused without it.
	With string
	// Optional: where With names a field, this one may be left out beside it.
	Optional bool
	// Secrets: expressions here may read secrets, because the value is sent
	// out and not kept.
	Secrets bool
}

// FieldType says what a field may hold.
type FieldType string

// The types of field. Those called expressions hold one CEL expression without
// ${{ }}.
const (
	FieldTemplate  FieldType = "template"  // any JSON whose texts may hold ${{ expression }}
	FieldText      FieldType = "text"      // a text that may hold ${{ expression }}
	FieldObject    FieldType = "object"    // a mapping of templates
	FieldArguments FieldType = "arguments" // a mapping of templates that fits the input schema of the node's FieldTool
	FieldBool      FieldType = "bool"      // an expression of type bool
	FieldTime      FieldType = "time"      // an expression of type timestamp
	FieldList      FieldType = "list"      // an expression of type list
	FieldValue     FieldType = "value"     // an expression of any type
	FieldDuration  FieldType = "duration"  // "30s"; more than nothing, at most a year
	FieldString    FieldType = "string"    // a text that is used as it is
	FieldStrings   FieldType = "strings"   // a list of different texts
	FieldEnum      FieldType = "enum"      // one of Values
	FieldInt       FieldType = "int"       // a whole number from Min to Max
	FieldCount     FieldType = "count"     // one of Values, or a whole number from Min to Max
	FieldFlag      FieldType = "flag"      // true or false
	FieldAgent     FieldType = "agent"     // the name of an agent, stored or of this definition
	FieldTool      FieldType = "tool"      // the name of a tool
	FieldTools     FieldType = "tools"     // a list of the names of tools
	FieldModel     FieldType = "model"     // a model, as provider/model
	FieldModels    FieldType = "models"    // a list of models to fall back to
	FieldPipeline  FieldType = "pipeline"  // the name of a stored pipeline, or a file beside this one
	FieldSchema    FieldType = "schema"    // a JSON Schema
	FieldRetry     FieldType = "retry"     // as in a [gathering.Retry]; of the common fields alone
	FieldJSON      FieldType = "json"      // any JSON, used as it is; of the common fields alone
	FieldPosition  FieldType = "position"  // two whole numbers; of the common fields alone
	FieldItem      FieldType = "item"      // what expressions in the node's FieldNode call the item; "item" where it is absent
	FieldNode      FieldType = "node"      // a node without an ID, done for each item
)

// Checker loads definitions. It is used by many goroutines at once; its
// functions must allow that. What a nil function would tell is not checked.
type Checker struct {
	Kinds []Kind
	// Tool returns the tool of that name.
	Tool func(name string) (gathering.ToolSpec, bool)
	// Tools are the names of all tools, to suggest one from; may be nil.
	Tools []string
	// Model returns nil if a model can be used, and else says what is missing.
	Model func(ref string) error
	// Agent reports whether a stored agent has that name. Those that the
	// definition brings along need not be stored.
	Agent func(name string) bool
	// Pipeline reports whether a stored pipeline has that name.
	Pipeline func(name string) bool
	// File loads the definition at a path and returns the name it is stored
	// under. Nil refuses references to files.
	File func(path string) (pipeline string, err error)
}

// CommonFields are the fields that nodes have whatever their kind, unless it
// refuses them.
func CommonFields() []Field {
	return []Field{
		{Name: "kind", Type: FieldString, Required: true, Summary: "what the node does"},
		{Name: "name", Type: FieldString, Summary: "its title"},
		{Name: "needs", Type: FieldStrings, Summary: "the nodes it comes after, by ID or as ID.branch"},
		{Name: "retry", Type: FieldRetry, Summary: "how often, how soon and after which failures it is tried again"},
		{Name: "timeout", Type: FieldDuration, Summary: "how long one attempt may take"},
		{Name: "total_timeout", Type: FieldDuration, Summary: "how long all attempts and the waits between them may take"},
		{
			Name: "on_error", Type: FieldEnum, Values: []string{"fail", "continue", "branch"},
			Summary: "whether its failure fails the run, or leaves the fallback, or takes the branch error; fail where it is absent",
		},
		{Name: "fallback", Type: FieldJSON, With: "on_error", Optional: true, Summary: "its output after a failure that the run goes on from"},
		{Name: "idempotent", Type: FieldFlag, Summary: "whether it may be done twice; what its tool says where it is absent"},
		{
			Name: "on_unknown", Type: FieldEnum, Values: []string{"ask", "retry", "fail"},
			Summary: "what follows a call of which nobody knows whether it acted; ask where it is absent. retry makes it again, in all as often as retry says, or 10 times where that is absent, and then asks",
		},
		{
			Name: "on_open", Type: FieldEnum, Values: []string{"wait", "fail"},
			Summary: "what it does while the circuit breaker of what it calls is open; wait where it is absent",
		},
		{Name: "position", Type: FieldPosition, Summary: "where it is drawn, [from the left, from the top]; means nothing to a run"},
	}
}

// isCommon reports whether nodes of every kind can have a field.
func isCommon(name string) bool {
	return slices.ContainsFunc(CommonFields(), func(f Field) bool { return f.Name == name })
}
