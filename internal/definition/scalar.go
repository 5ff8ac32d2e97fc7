package definition

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gathering"
	"gathering/internal/schema"
)

// Limits of single fields.
const (
	MaxName  = 100     // characters of a definition's, an agent's or a branch's name
	MaxID    = 64      // characters of a node's ID or a variable's name
	MaxTitle = 200     // characters of a node's name
	MaxText  = 200_000 // characters of a text
	MaxSteps = 200     // model turns that an agent may be given
	MaxSpan  = 365 * 24 * time.Hour
)

// wrongType reports that v is of a type that cannot stand there.
func (r *report) wrongType(at place, v *value, want, remedy string) {
	if v.kind == kindBad {
		return
	}
	is := "is " + v.kind.String()
	if v.kind == kindNull {
		is = "is empty"
	}
	if at.path == "" {
		is = "the file " + is
	}
	r.add(at, is+" and must be "+want, remedy)
}

// object reports whether v is a mapping.
func (r *report) object(at place, v *value, want string) bool {
	if v.kind != kindObject {
		r.wrongType(at, v, want, "")
	}
	return v.kind == kindObject
}

// members are the members of v, which may be absent.
func (r *report) members(at place, v *value, want string) []member {
	if v.absent() || !r.object(at.in("", v.line), v, want) {
		return nil
	}
	return v.members
}

// text is v as a text of at most limit characters.
func (r *report) text(at place, v *value, limit int) (string, bool) {
	switch {
	case v.kind == kindFlag || v.kind == kindNumber:
		r.wrongType(at, v, "text", "put it in quotes")
	case v.kind != kindText:
		r.wrongType(at, v, "text", "")
	case v.text == "":
		r.add(at, "is empty", "write something, or leave the field out")
	case len(v.text) > limit:
		r.add(at, "is too long", "at most "+strconv.Itoa(limit)+" characters")
	default:
		return v.text, true
	}
	return "", false
}

// texts is v as a list of different texts. It is nil unless all of them are.
func (r *report) texts(at place, v *value) []string {
	if v.kind != kindList {
		r.wrongType(at, v, "a list", "write [a, b]")
		return nil
	}
	texts := make([]string, 0, len(v.items))
	for i, item := range v.items {
		text, ok := r.text(at.item(i, item.line), item, MaxName)
		if ok && slices.Contains(texts, text) {
			r.add(at.item(i, item.line), "is listed twice", "keep one")
			ok = false
		}
		if ok {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 || len(texts) < len(v.items) {
		return nil
	}
	return texts
}

// enum is v as one of values.
func (r *report) enum(at place, v *value, values []string) string {
	text, ok := r.text(at, v, MaxName)
	if ok && !slices.Contains(values, text) {
		r.add(at, "is no value for this field", r.orOneOf(text, values))
		return ""
	}
	return text
}

func (r *report) flag(at place, v *value) *bool {
	if v.kind != kindFlag {
		r.wrongType(at, v, "true or false", "")
		return nil
	}
	set := v.text == "true"
	return &set
}

// whole is v as a whole number within bounds.
func (r *report) whole(at place, v *value, bounds [2]int) int {
	within := "a whole number from " + strconv.Itoa(bounds[0]) + " to " + strconv.Itoa(bounds[1])
	if v.kind != kindNumber {
		r.wrongType(at, v, within, "")
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < bounds[0] || n > bounds[1] {
		r.add(at, "must be "+within, "")
		return 0
	}
	return n
}

// number is v as a number within bounds.
func (r *report) number(at place, v *value, bounds [2]float64) float64 {
	within := "a number from " + strconv.FormatFloat(bounds[0], 'g', -1, 64) +
		" to " + strconv.FormatFloat(bounds[1], 'g', -1, 64)
	if v.kind != kindNumber {
		r.wrongType(at, v, within, "")
		return 0
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil || math.IsNaN(n) || n < bounds[0] || n > bounds[1] {
		r.add(at, "must be "+within, "")
		return 0
	}
	return n
}

// duration is v as a span of time above nothing and of at most a year.
func (r *report) duration(at place, v *value) gathering.Duration {
	const example = `write a number with a unit: 500ms, 30s, 10m, 1h30m`
	if v.kind == kindNumber {
		r.add(at, "has no unit", example)
		return 0
	}
	text, ok := r.text(at, v, MaxName)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	switch _, bare := strconv.ParseFloat(text, 64); {
	case strings.Contains(text, "${{"):
		r.add(at, "holds ${{ }}, and a duration must be known before the run", example)
	case bare == nil:
		r.add(at, "has no unit", example)
	case err != nil && strings.ContainsAny(text, "dwy"):
		r.add(at, "is no duration", "the units are ms, s, m and h; a day is 24h")
	case err != nil:
		r.add(at, "is no duration", example)
	case d < 0:
		r.add(at, "is negative", "it must be more than nothing")
	case d == 0:
		r.add(at, "is zero", "it must be more than nothing, or left out")
	case d > MaxSpan:
		r.add(at, "is more than a year", "at most 8760h")
	default:
		return gathering.Duration(d)
	}
	return 0
}

// schema reports what keeps v from being used as a JSON Schema. Locate gives
// the place of a path within v.
func (r *report) schema(v *value, locate func(path string) place) {
	if v.kind == kindBad || !r.object(locate(""), v, "a JSON Schema such as {type: object}") {
		return
	}
	_, err := schema.Compile(v.json())
	if err == nil {
		return
	}
	invalid, ok := errors.AsType[*gathering.Error](err)
	if !ok || len(invalid.Fields) == 0 {
		r.add(locate(""), "is no JSON Schema that can be used", publicText(err))
		return
	}
	for _, f := range invalid.Fields {
		r.add(locate(f.Field), f.Problem, "")
	}
}

// publicText is what an error may say to whoever wrote the file.
func publicText(err error) string {
	if public, ok := errors.AsType[*gathering.Error](err); ok {
		return public.Public()
	}
	return "the log has the cause"
}
