package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gathering"
)

// Limits of schemas and of the values they check.
const (
	// MaxBytes is the length of a schema document.
	MaxBytes = 256 << 10
	// MaxElements is how many values, those within it included, a value may
	// have that is checked by a schema.
	MaxElements = 1_000_000
	// MaxProblems is how many violations are listed.
	MaxProblems = 100
)

// Schema is a compiled JSON Schema. It may be used by many goroutines at a time.
type Schema struct {
	compiled *jsonschema.Schema
	document any
	budget   *budget // set where validating could take more than linear time
}

// location is what the compiler knows the document as. Nothing is loaded from it.
const location = "https://schema.invalid/document"

// Compile reads a JSON Schema. Its error is KindInvalid, or KindTooLarge for a
// document over MaxBytes. Fields name each place in the document that is
// faulty, as in "properties.text.type"; there are none where it is the document
// as a whole.
func Compile(document json.RawMessage) (*Schema, error) {
	value, err := read(document)
	if err != nil {
		return nil, err
	}
	if at, ok := foreign(value, ""); ok {
		return nil, fault(at, "refers to another document; a schema may refer only to itself, as in #/$defs/name")
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(location, value); err != nil {
		return nil, compileFault(err, value)
	}
	compiled, err := compiler.Compile(location)
	if err != nil {
		return nil, compileFault(err, value)
	}
	return &Schema{compiled: compiled, document: value, budget: budgetFor(compiled)}, nil
}

// read decodes a schema document within its limits.
func read(document json.RawMessage) (any, error) {
	switch {
	case len(bytes.TrimSpace(document)) == 0:
		return nil, fault("", "is empty; a schema is an object such as {\"type\": \"object\"}")
	case len(document) > MaxBytes:
		return nil, gathering.NewError(gathering.KindTooLarge, "the schema is %d bytes long; the limit is %d", len(document), MaxBytes)
	}
	if err := gathering.CheckJSON("schema", document); err != nil {
		return nil, relative(err)
	}
	value, err := decode(document)
	if err != nil {
		return nil, fault("", "is not valid JSON")
	}
	switch value.(type) {
	case map[string]any, bool:
	default:
		return nil, fault("", "must be an object such as {\"type\": \"object\"}")
	}
	if at, problem := uncheckable(value, ""); problem != "" {
		return nil, fault(at, problem)
	}
	return value, nil
}

// relative drops the name of the whole from the paths of err's fields.
func relative(err error) error {
	e, ok := errors.AsType[*gathering.Error](err)
	if !ok {
		return err
	}
	fields := make([]gathering.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		if f.Field == "schema" {
			return fault("", f.Problem)
		}
		fields[i] = gathering.FieldError{Field: strings.TrimPrefix(strings.TrimPrefix(f.Field, "schema"), "."), Problem: f.Problem}
	}
	return gathering.NewError(e.Kind, "this is not a JSON Schema").WithFields(fields...)
}

func decode(text json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	return value, nil
}

// fault is the error of a schema that cannot be used.
func fault(field, problem string) *gathering.Error {
	if field == "" {
		return gathering.NewError(gathering.KindInvalid, "the schema %s", problem)
	}
	return gathering.NewError(gathering.KindInvalid, "this is not a usable JSON Schema").
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

// noLoader refuses to load anything.
type noLoader struct{}

// Load is an error.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a schema refers only to itself")
}

// foreign finds a reference that leads out of the document.
func foreign(value any, path string) (string, bool) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			at := join(path, key)
			target, isText := v[key].(string)
			if isText && isReference(key) && !strings.HasPrefix(target, "#") {
				return at, true
			}
			if key == "enum" || key == "const" || key == "default" || key == "examples" {
				continue
			}
			if at, found := foreign(v[key], at); found {
				return at, true
			}
		}
	case []any:
		for i, item := range v {
			if at, found := foreign(item, index(path, i)); found {
				return at, true
			}
		}
	}
	return "", false
}

func isReference(key string) bool {
	return key == "$ref" || key == "$dynamicRef" || key == "$recursiveRef"
}

// Validate returns nil if the schema allows value. Otherwise its error is
// KindInvalid and Fields name every violation, up to MaxProblems: where it is,
// with field as the name of the whole ("input.a.b[0]"), and what would be
// right. It never repeats a value. A value that is too large to be checked is
// KindTooLarge.
func (s *Schema) Validate(field string, value json.RawMessage) error {
	if len(bytes.TrimSpace(value)) == 0 {
		value = json.RawMessage("null")
	}
	if elements(value) > MaxElements {
		return gathering.NewError(gathering.KindTooLarge, "%s has more than %d elements, too many to check against a schema", field, MaxElements).
			WithFields(gathering.FieldError{Field: field, Problem: "has too many elements"})
	}
	decoded, err := decode(value)
	if err != nil {
		return invalid(field, []gathering.FieldError{{Field: field, Problem: "is not valid JSON"}})
	}
	if at, problem := uncheckable(decoded, field); problem != "" {
		return invalid(field, []gathering.FieldError{{Field: at, Problem: problem}})
	}
	err = s.validate(decoded)
	violation, ok := errors.AsType[*jsonschema.ValidationError](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return err
	}
	r := reporter{field: field, value: decoded, document: s.document}
	r.report(violation)
	return invalid(field, r.sorted())
}

func (s *Schema) validate(value any) (err error) {
	if s.budget != nil {
		s.budget.mu.Lock()
		defer s.budget.mu.Unlock()
		s.budget.left = maxSteps
	}
	defer func() {
		switch r := recover(); r {
		case nil:
		case errBudget:
			err = gathering.NewError(gathering.KindInvalid, "the schema refers to itself in so many ways that this value takes too long to check")
		default:
			err = fmt.Errorf("validate against schema: panic: %v", r)
		}
	}()
	return s.compiled.Validate(value)
}

// invalid is the error of a value that the schema does not allow.
func invalid(field string, problems []gathering.FieldError) *gathering.Error {
	message := field + " does not fit its schema"
	if len(problems) > MaxProblems {
		message = fmt.Sprintf("%s; the first %d of %d problems are listed", message, MaxProblems, len(problems))
		problems = problems[:MaxProblems]
	}
	return gathering.NewError(gathering.KindInvalid, "%s", message).WithFields(problems...)
}
