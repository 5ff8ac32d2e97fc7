package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"gathering"
)

// New makes a tool of a typed function.
//
// The schemas are derived from In and Out, both structs. A field is required
// unless it is tagged omitempty or omitzero, its description is its jsonschema
// tag, and the whole numbers in its minimum and maximum tags bound it; unknown
// fields are refused. A schema that spec already has is kept. A tool without
// side effects is marked idempotent, and all calls of an idempotent one are
// repeatable.
//
// Arguments that do not fit In are KindInvalid; fn is not called. A panic in
// fn becomes a KindInternal error with the panic and its stack as the cause.
func New[In, Out any](
	spec gathering.ToolSpec,
	fn func(ctx context.Context, call Call, in In) (Out, error),
) (Tool, error) {
	if err := describe(&spec, reflect.TypeFor[In](), reflect.TypeFor[Out]()); err != nil {
		return nil, fmt.Errorf("describe tool %s: %w", spec.Name, err)
	}
	call := func(ctx context.Context, call Call) (result json.RawMessage, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				result, err = nil, broken(spec.Name, cause)
			}
		}()
		var in In
		if err := decode(arguments(call), &in); err != nil {
			return nil, err
		}
		out, err := fn(ctx, call, in)
		if err != nil {
			return nil, err
		}
		result, err = gathering.EncodeJSON(out)
		if err != nil {
			return nil, fmt.Errorf("encode result of %s: %w", spec.Name, err)
		}
		return result, nil
	}
	return &typed{spec, call}, nil
}

// typed is a tool made of a typed function.
type typed struct {
	spec gathering.ToolSpec
	call func(ctx context.Context, call Call) (json.RawMessage, error)
}

func (t *typed) Spec() gathering.ToolSpec { return t.spec }

func (t *typed) Repeatable(json.RawMessage) bool { return t.spec.Idempotent }

func (t *typed) Call(ctx context.Context, call Call) (json.RawMessage, error) {
	return t.call(ctx, call)
}

// arguments returns what the call was given, {} where that is nothing or null.
func arguments(call Call) json.RawMessage {
	if trimmed := bytes.TrimSpace(call.Arguments); len(trimmed) == 0 || string(trimmed) == "null" {
		return json.RawMessage("{}")
	}
	return call.Arguments
}

func broken(name string, cause any) error {
	return gathering.NewError(gathering.KindInternal, "tool %s broke down; the log has the cause", name).
		WithCause(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}

func decode(arguments json.RawMessage, into any) error {
	if _, own := into.(json.Unmarshaler); !own && string(arguments) == "{}" {
		return nil // nothing is set
	}
	decoder := json.NewDecoder(bytes.NewReader(arguments))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("text after the arguments")
	}
	field, problem := "arguments", "must be a JSON object with the fields that the tool knows"
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mistyped.Field != "" {
			field += "." + mistyped.Field
		}
		problem = "must be " + typeName(mistyped.Type)
	}
	return gathering.NewError(gathering.KindInvalid, "the arguments do not fit the tool").
		WithFields(gathering.FieldError{Field: field, Problem: problem}).
		WithCause(err)
}

// typeName says what JSON a value of type t is written as.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a whole number, written without fraction or exponent"
	}
}

// describe completes spec from the types of a tool's input and output.
func describe(spec *gathering.ToolSpec, in, out reflect.Type) error {
	spec.Idempotent = spec.Idempotent || !spec.SideEffect
	if spec.Input == nil {
		schema, err := derive(in)
		if err != nil {
			return err
		}
		spec.Input = schema
	}
	if spec.Output == nil {
		schema, err := derive(out)
		if err != nil {
			return err
		}
		spec.Output = schema
	}
	return nil
}

func derive(t reflect.Type) (json.RawMessage, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", t)
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{
		TypeSchemas: map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[json.RawMessage]():    {},
			reflect.TypeFor[gathering.Duration](): {Type: "string"},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := bound(t, schema); err != nil {
		return nil, err
	}
	return json.Marshal(schema)
}

// bound copies the minimum and maximum tags of t's fields into their schemas.
func bound(t reflect.Type, schema *jsonschema.Schema) error {
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		property, ok := schema.Properties[name]
		if !ok {
			continue
		}
		var err error
		if property.Minimum, err = limit(field, "minimum", property.Minimum); err != nil {
			return err
		}
		if property.Maximum, err = limit(field, "maximum", property.Maximum); err != nil {
			return err
		}
	}
	return nil
}

// limit returns the number in a field's tag, or otherwise where it has none.
func limit(field reflect.StructField, tag string, otherwise *float64) (*float64, error) {
	text, ok := field.Tag.Lookup(tag)
	if !ok {
		return otherwise, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s of field %s: %w", tag, field.Name, err)
	}
	return &value, nil
}
