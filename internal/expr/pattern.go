package expr

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// What patterns cost at worst, in units of about 100 ns.
const (
	patternCost     = 100  // compiling the smallest
	plainByteCost   = 5    // compiling a byte
	tableCost       = 600  // compiling a class of Unicode's
	foldedByteCost  = 7500 // compiling a byte of a range that ignores case: each letter in it is looked up
	refusedByteCost = 300  // compiling a byte of a pattern that is too large
	triesPerCost    = 25   // how many instructions a byte of text is tried against
)

// foldedRange finds, where case is ignored, the end of a range beyond ASCII.
var foldedRange = regexp.MustCompile(`(?s)\(\?[imsU]*i.*-(\\x|[^\x00-\x7f])`)

// sourceCost is what a pattern costs as far as its source tells.
func sourceCost(source string) int {
	cost := patternCost + len(source)*plainByteCost + strings.Count(strings.ToLower(source), `\p`)*tableCost
	if foldedRange.MatchString(source) {
		cost += len(source) * foldedByteCost
	}
	return cost
}

// pattern is a regular expression and what it takes to use it.
type pattern struct {
	compiled *regexp.Regexp
	refused  error // why it cannot be used
	cost     int   // of compiling it, beside what its source tells
	size     int   // how many instructions a byte of text is tried against
}

func newPattern(source string) *pattern {
	compiled, err := types.CompileRegexWithLimit(source, maxPattern)
	if err != nil {
		return &pattern{refused: err, cost: len(source) * refusedByteCost}
	}
	size, err := types.RegexProgramSize(source)
	p := &pattern{compiled: compiled, refused: err, cost: size, size: size}
	if _, literal := compiled.LiteralPrefix(); literal {
		p.size = 1 // such text is searched for, not matched
	}
	return p
}

// matching stands in the place of the library's calls of matches, which cost
// the same whatever the pattern, and are charged for when the work is done.
type matching struct {
	interpreter.InterpretableCall // the library's

	constant *pattern // compiled once
}

// ownMatches puts a matching in the place of such a call.
func ownMatches(planned interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := planned.(interpreter.InterpretableCall)
	if !ok || call.Function() != overloads.Matches || len(call.Args()) != 2 {
		return planned, nil
	}
	m := &matching{InterpretableCall: call}
	if literal, ok := call.Args()[1].(interpreter.InterpretableConst); ok {
		if source, ok := literal.Value().(types.String); ok {
			m.constant = newPattern(string(source))
		}
	}
	return m, nil
}

// matchesFunction is what a matching calls itself, so that the library does
// not take it for its own.
const matchesFunction = "@matches"

// Function is matchesFunction.
func (m *matching) Function() string { return matchesFunction }

// OverloadID is matchesFunction: there is one.
func (m *matching) OverloadID() string { return matchesFunction }

// Eval is Exec outside of a program.
func (m *matching) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, m.Exec)
}

// Exec matches the first argument, a text, against the second, a pattern. It
// charges for the work before it does it.
func (m *matching) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	var args [2]ref.Val
	for i, arg := range m.Args() {
		if args[i] = arg.Exec(frame); types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	text, ok := args[0].(types.String)
	source, okSource := args[1].(types.String)
	if !ok || !okSource {
		return types.NewErr("no such overload: matches(%s, %s)", args[0].Type().TypeName(), args[1].Type().TypeName())
	}
	p := m.constant
	if p == nil {
		if len(source) > MaxSource {
			return problem("a pattern is %d bytes long; the limit is %d", len(source), MaxSource)
		}
		m.charge(frame, sourceCost(string(source)))
		p = newPattern(string(source))
		m.charge(frame, p.cost)
	}
	if p.refused != nil {
		return types.WrapErr(p.refused)
	}
	work := 1 + len(text)*p.size/triesPerCost
	if work > MaxCost {
		return problem("a pattern of %d instructions on a text of %d bytes is more work than an expression may do; shorten one of them", p.size, len(text))
	}
	m.charge(frame, work)
	return types.Bool(p.compiled.MatchString(string(text)))
}

// charge ends the program where that is more than it may still do.
func (m *matching) charge(frame *interpreter.ExecutionFrame, work int) {
	frame.CostTracker().EvalUnary(frame, m.ID(), m, types.Int(work), nil)
}
