package expr

import (
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// What patterns cost. A byte of text is tried against every instruction of a
// pattern's program, about 5 ns each at worst: what MaxCost allows is well
// under a second, as it is of other functions.
const (
	patternCost      = 100 // compiling the smallest pattern
	refusedByteCost  = 100 // reading a byte of a pattern that cannot be used, at worst
	boundsPerCost    = 2   // bounds of character classes that are put in order for one unit
	instructionsCost = 25  // instructions that are tried for one unit
)

// pattern is a regular expression and what it takes to use it.
type pattern struct {
	compiled *regexp.Regexp
	refused  ref.Val // why it cannot be used; nil where it can
	cost     int     // of compiling it
	// instructions is how many a byte of text is tried against.
	instructions int
}

func newPattern(source string) *pattern {
	if len(source) > MaxSource {
		return &pattern{cost: patternCost, refused: problem("a pattern is %d bytes long; the limit is %d", len(source), MaxSource)}
	}
	refused := func(why ref.Val) *pattern {
		return &pattern{cost: patternCost + refusedByteCost*len(source), refused: why}
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return refused(types.WrapErr(err))
	}
	cost := patternCost + bounds(parsed)/boundsPerCost
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return refused(types.WrapErr(err))
	}
	if size := len(program.Inst); size > maxPattern {
		return refused(problem("a pattern has %d instructions; the limit is %d", size, maxPattern))
	}
	compiled, err := regexp.Compile(source)
	if err != nil {
		return refused(types.WrapErr(err))
	}
	p := &pattern{compiled: compiled, cost: cost + len(program.Inst), instructions: len(program.Inst)}
	if _, literal := compiled.LiteralPrefix(); literal {
		p.instructions = 1 // such text is searched for, not matched
	}
	return p
}

// bounds counts those of the character classes within a regular expression.
func bounds(e *syntax.Regexp) int {
	total := len(e.Rune)
	for _, part := range e.Sub {
		total += bounds(part)
	}
	return total
}

// matching is a call of matches. The library's charges nothing for the size of
// a pattern's program, and charges when the work is done.
type matching struct {
	interpreter.InterpretableCall // the library's
	constant                      *pattern
}

// ownMatches puts matching in the place of the library's calls of matches. A
// pattern that is constant is compiled once.
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

// matchesFunction is what a matching calls itself, so that nothing of the
// library takes it for its own.
const matchesFunction = "@matches"

// Function names it for what charges and decorates calls.
func (m *matching) Function() string { return matchesFunction }

// OverloadID is its name: there is one.
func (m *matching) OverloadID() string { return matchesFunction }

// Eval runs it outside of a program.
func (m *matching) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, m.Exec)
}

// Exec matches the first argument, a text, against the second, a pattern. It
// charges before it does the work.
func (m *matching) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := m.Args()
	left := args[0].Exec(frame)
	if types.IsUnknownOrError(left) {
		return left
	}
	right := args[1].Exec(frame)
	if types.IsUnknownOrError(right) {
		return right
	}
	text, ok := left.(types.String)
	source, okSource := right.(types.String)
	if !ok || !okSource {
		m.charge(frame, 1)
		return types.NewErr("no such overload: matches(%s, %s)", left.Type().TypeName(), right.Type().TypeName())
	}
	p := m.constant
	if p == nil {
		p = newPattern(string(source))
		m.charge(frame, p.cost)
	}
	if p.refused != nil {
		return p.refused
	}
	work := 1 + len(text)*p.instructions/instructionsCost
	if work > MaxCost {
		m.charge(frame, 1)
		return problem("a pattern of %d instructions on a text of %d bytes is more work than an expression may do; shorten one of them",
			p.instructions, len(text))
	}
	m.charge(frame, work)
	return types.Bool(p.compiled.MatchString(string(text)))
}

// charge ends the program where that is more than it may still do.
func (m *matching) charge(frame *interpreter.ExecutionFrame, work int) {
	frame.CostTracker().EvalUnary(frame, m.ID(), m, types.Int(work), nil)
}
