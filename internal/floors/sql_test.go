package floors_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// storePath is the package through which all SQL passes.
const storePath = module + "/internal/store"

// TestSQL holds that the text of every statement is fixed when the program is
// built. In the store and in packages that use it, what goes into a string
// parameter or field named query, sql, statement or clause is made of
// constants, of what dialect.go returns and of such parameters and fields
// alone. Values are bound, never pasted.
func TestSQL(t *testing.T) {
	t.Parallel()
	table := byPath()
	check := newChecker()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			check.parse(t, p.ImportPath, filepath.Join(p.Dir, name), nil)
		}
	}
	statements := 0
	for _, p := range packages(t) {
		if !p.production() || table[p.path()].tests {
			continue
		}
		n, faults := check.sql(p.ImportPath)
		statements += n
		for _, fault := range faults {
			t.Errorf("%s: SQL text is put together from %s: use constants and bound parameters",
				check.fset.Position(fault.Pos()), types.ExprString(fault))
		}
	}
	if statements == 0 {
		t.Error("no SQL statement found: does the store still call its parameters query?")
	}
}

// TestSQLFaults holds that TestSQL would notice.
func TestSQLFaults(t *testing.T) {
	t.Parallel()
	const store = `package store
type Tx struct{}
func (*Tx) Exec(query string, args ...any) {}
func Name() string { return "" }
type Statement struct{ query string }`
	const dialect = `package store
type Dialect int
func (Dialect) ForUpdate() string { return "" }
func (Dialect) Locking(clause string) string { return "" }`
	const head = `package noun
import ("fmt"; "gathering/internal/store")
const table = "runs"
type statement struct{ query string }
func one[T any](tx *store.Tx, query string) { tx.Exec(query + " LIMIT 1") }
func f(tx *store.Tx, d store.Dialect, name string) { `
	tests := []struct {
		name, body string
		want       []string
	}{
		{"literal", `tx.Exec("DELETE FROM runs")`, nil},
		{"constants", `tx.Exec("DELETE FROM " + table)`, nil},
		{"dialect", `tx.Exec("SELECT id FROM runs" + d.ForUpdate())`, nil},
		{"choice", `q := "a"; if name != "" { q = "b" }; tx.Exec(q)`, nil},
		{"grown", `q := "a"; q += " AND b"; q = q + " AND c"; tx.Exec(q)`, nil},
		{"bound", `tx.Exec("DELETE FROM runs WHERE id = $1", name)`, nil},
		{"pasted", `tx.Exec("DELETE FROM " + name)`, []string{"name"}},
		{"formatted", `tx.Exec(fmt.Sprintf("DELETE FROM %s", table))`, []string{`fmt.Sprintf("DELETE FROM %s", table)`}},
		{"other text of the store", `tx.Exec("DELETE FROM " + store.Name())`, []string{"store.Name()"}},
		{"grown by a value", `q := "a"; q += name; tx.Exec(q)`, []string{"name"}},
		{"through a function", `one[int](tx, "a" + name)`, []string{"name"}},
		{"in a closure", `func() { tx.Exec(name) }()`, []string{"name"}},
		{"clause", `tx.Exec("SELECT id FROM runs" + d.Locking("FOR " + name))`, []string{"name"}},
		{"field", `s := struct{ q string }{name}; tx.Exec(s.q)`, []string{"s.q"}},
		{"field of a statement", `s := statement{query: "a"}; tx.Exec(s.query)`, nil},
		{"pasted into a statement", `s := statement{query: "a" + name}; tx.Exec(s.query)`, []string{"name"}},
		{"by its place", `s := statement{name}; tx.Exec(s.query)`, []string{"name"}},
		{"set later", `var s statement; s.query = name; tx.Exec(s.query)`, []string{"name"}},
		{"never assigned", `var q string; tx.Exec(q)`, []string{"q"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check := newChecker()
			check.parse(t, storePath, "store.go", store)
			check.parse(t, storePath, "dialect.go", dialect)
			check.parse(t, module+"/noun", "noun.go", head+test.body+" }")
			_, faults := check.sql(module + "/noun")
			var got []string
			for _, fault := range faults {
				got = append(got, types.ExprString(fault))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// checker type-checks packages of this module from their source, in the order
// in which they import each other. In place of anything from elsewhere they
// see an empty package: their own functions and constants are enough to tell
// what SQL is made of, and nothing has to be compiled.
type checker struct {
	fset    *token.FileSet
	files   map[string][]*ast.File // by import path
	checked map[string]*types.Package
	info    *types.Info
}

func newChecker() *checker {
	return &checker{
		fset:    token.NewFileSet(),
		files:   map[string][]*ast.File{},
		checked: map[string]*types.Package{},
		info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{},
			Defs:  map[*ast.Ident]types.Object{},
			Uses:  map[*ast.Ident]types.Object{},
		},
	}
}

// parse adds a file to a package; source nil means the file itself.
func (c *checker) parse(t *testing.T, importPath, name string, source any) {
	t.Helper()
	file, err := parser.ParseFile(c.fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	c.files[importPath] = append(c.files[importPath], file)
}

// Import makes c a [types.Importer].
func (c *checker) Import(importPath string) (*types.Package, error) {
	if p := c.checked[importPath]; p != nil {
		return p, nil
	}
	if c.files[importPath] == nil {
		empty := types.NewPackage(importPath, path.Base(importPath))
		empty.MarkComplete()
		c.checked[importPath] = empty
		return empty, nil
	}
	ignore := func(error) {} // what comes from elsewhere is unknown by design
	config := types.Config{Importer: c, Error: ignore, FakeImportC: true}
	p, _ := config.Check(importPath, c.fset, c.files[importPath], c.info)
	c.checked[importPath] = p
	return p, nil
}

// sql returns how many statements the package passes on, and the expressions
// that must not be in them.
func (c *checker) sql(importPath string) (statements int, faults []ast.Expr) {
	p, _ := c.Import(importPath)
	store := c.checked[storePath]
	if importPath != storePath && !slices.Contains(p.Imports(), store) {
		return 0, nil
	}
	for _, file := range c.files[importPath] {
		s := sqlScan{info: c.info, fset: c.fset}
		ast.Inspect(file, s.visit)
		statements += s.statements
		faults = append(faults, s.faults...)
	}
	return statements, faults
}

// sqlScan collects the expressions of one file that must not be in SQL.
type sqlScan struct {
	info       *types.Info
	fset       *token.FileSet
	function   *ast.FuncDecl // the one being visited
	statements int
	faults     []ast.Expr
}

func (s *sqlScan) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		s.function = n
	case *ast.CallExpr:
		if f := s.callee(n); f != nil {
			parameters := f.Signature().Params()
			for i := range min(parameters.Len(), len(n.Args)) {
				s.statement(parameters.At(i), n.Args[i])
			}
		}
	case *ast.CompositeLit:
		s.fields(n)
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			field, ok := left.(*ast.SelectorExpr)
			if ok && len(n.Lhs) == len(n.Rhs) {
				s.statement(s.info.Uses[field.Sel], n.Rhs[i])
			}
		}
	}
	return true
}

// fields looks at what a literal puts into the fields of a struct.
func (s *sqlScan) fields(literal *ast.CompositeLit) {
	kind := s.info.Types[literal].Type
	if kind == nil {
		return
	}
	structure, ok := kind.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				s.statement(s.info.Uses[key], pair.Value)
			}
		} else if i < structure.NumFields() {
			s.statement(structure.Field(i), element)
		}
	}
}

// statement checks e where it becomes SQL by being put into place.
func (s *sqlScan) statement(place types.Object, e ast.Expr) {
	if isSQL(place) {
		s.statements++
		s.check(e, nil)
	}
}

// callee finds the function or method of this module that call calls, or nil.
func (s *sqlScan) callee(call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch generic := fun.(type) {
	case *ast.IndexExpr:
		fun = generic.X
	case *ast.IndexListExpr:
		fun = generic.X
	}
	var name *ast.Ident
	switch fun := fun.(type) {
	case *ast.Ident:
		name = fun
	case *ast.SelectorExpr:
		name = fun.Sel
	default:
		return nil
	}
	f, ok := s.info.Uses[name].(*types.Func)
	if !ok || f.Pkg() == nil || !ours(f.Pkg().Path()) {
		return nil
	}
	return f
}

// isSQL reports whether place is a parameter or field that holds SQL.
func isSQL(place types.Object) bool {
	v, ok := place.(*types.Var)
	if !ok || v.Kind() != types.ParamVar && v.Kind() != types.FieldVar {
		return false
	}
	basic, ok := v.Type().(*types.Basic)
	return ok && basic.Kind() == types.String && slices.Contains([]string{"query", "sql", "statement", "clause"}, v.Name())
}

// check adds the parts of e that are not fixed. seen holds the variables on
// the way, so that one built from itself ends.
func (s *sqlScan) check(e ast.Expr, seen []types.Object) {
	e = ast.Unparen(e)
	if s.info.Types[e].Value != nil {
		return
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		s.check(e.X, seen)
		s.check(e.Y, seen)
		return
	case *ast.CallExpr:
		if f := s.callee(e); f != nil && s.ofDialect(f) {
			return
		}
	case *ast.SelectorExpr:
		if isSQL(s.info.Uses[e.Sel]) {
			return
		}
	case *ast.Ident:
		object := s.info.Uses[e]
		if isSQL(object) || slices.Contains(seen, object) {
			return
		}
		v, ok := object.(*types.Var)
		if ok && v.Kind() == types.LocalVar && s.assigned(v, append(seen, object)) {
			return
		}
	}
	s.faults = append(s.faults, e)
}

// ofDialect reports whether f is declared in the store's dialect.go.
func (s *sqlScan) ofDialect(f *types.Func) bool {
	return f.Pkg().Path() == storePath && filepath.Base(s.fset.Position(f.Pos()).Filename) == "dialect.go"
}

// assigned checks everything that the function assigns to v and reports
// whether it assigns anything.
func (s *sqlScan) assigned(v *types.Var, seen []types.Object) bool {
	found := false
	ast.Inspect(s.function, func(n ast.Node) bool {
		assignment, ok := n.(*ast.AssignStmt)
		if !ok || len(assignment.Lhs) != len(assignment.Rhs) {
			return true
		}
		for i, left := range assignment.Lhs {
			name, ok := left.(*ast.Ident)
			if ok && (s.info.Defs[name] == v || s.info.Uses[name] == v) {
				found = true
				s.check(assignment.Rhs[i], seen)
			}
		}
		return true
	})
	return found
}
