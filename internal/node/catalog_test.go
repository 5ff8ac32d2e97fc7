package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/node"
	"gathering/internal/pipeline"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// shelves are stored pipelines and a catalog over them.
type shelves struct {
	*bench
	pipelines *pipeline.Store
	catalog   *node.Catalog
}

func newShelves(t *testing.T, db *store.DB) *shelves {
	t.Helper()
	s := &shelves{bench: newBench(t), pipelines: &pipeline.Store{DB: db, Now: time.Now}}
	var err error
	if s.catalog, err = node.NewCatalog(s.pipelines, s.binder()); err != nil {
		t.Fatal(err)
	}
	return s
}

// save stores a version whose output is content.
func (s *shelves) save(content int) gathering.Pipeline {
	s.t.Helper()
	p, err := s.pipelines.Save(s.t.Context(), gathering.DefaultProject, s.load(fmt.Sprintf(`
input_schema: {type: object, required: [text]}
nodes: {start: {kind: trigger}}
output: %d`, content)))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *shelves) graph(id gathering.PipelineID, number int) *engine.Graph {
	s.t.Helper()
	g, err := s.catalog.Graph(s.t.Context(), id, number)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func TestCatalogKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShelves(t, db)
		const versions = node.CatalogSize + 2
		var p gathering.Pipeline
		for i := range versions {
			p = s.save(i + 1)
		}
		first, second := s.graph(p.ID, 1), s.graph(p.ID, 2)
		for number := 3; number <= node.CatalogSize; number++ {
			s.graph(p.ID, number)
		}
		if s.graph(p.ID, 1) != first {
			t.Errorf("version 1 was bound anew although %d versions fit", node.CatalogSize)
		}
		s.graph(p.ID, node.CatalogSize+1) // which takes the place of version 2
		if s.graph(p.ID, 1) != first {
			t.Error("version 1, which was used last, had to go")
		}
		if s.graph(p.ID, 2) == second {
			t.Errorf("the catalog keeps more than %d versions", node.CatalogSize)
		}
		for _, number := range []int{1, 2, versions} {
			out, err := s.graph(p.ID, number).Output(nil)
			if err != nil || string(out) != fmt.Sprint(number) {
				t.Errorf("version %d gives %s, %v", number, out, err)
			}
			def, err := s.catalog.Definition(t.Context(), p.ID, number)
			if err != nil || string(def.Output) != fmt.Sprint(number) {
				t.Errorf("version %d is %v, %v", number, def, err)
			}
		}
	})
}

func TestCatalogAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShelves(t, db)
		var p gathering.Pipeline
		for i := range 5 {
			p = s.save(i + 1)
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for i := range 20 {
					number := 1 + i%5
					g, err := s.catalog.Graph(t.Context(), p.ID, number)
					if err != nil {
						t.Errorf("version %d: %v", number, err)
						return
					}
					if out, err := g.Output(nil); err != nil || string(out) != fmt.Sprint(number) {
						t.Errorf("version %d gives %s, %v", number, out, err)
					}
				}
			})
		}
		group.Wait()
	})
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShelves(t, db)
		s.save(1)
		p := s.save(2)
		id, number, err := s.catalog.Admit(t.Context(), gathering.DefaultProject, "test", json.RawMessage(`{"text":"x"}`))
		if err != nil || id != p.ID || number != 2 {
			t.Errorf("got %s %d, %v, want the published version 2 of %s", id, number, err, p.ID)
		}
		_, _, err = s.catalog.Admit(t.Context(), gathering.DefaultProject, "test", json.RawMessage(`{}`))
		if gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("got %v for an input that does not fit, want invalid", err)
		}
		_, _, err = s.catalog.Admit(t.Context(), gathering.DefaultProject, "none", nil)
		if gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v for a name that nobody has, want not found", err)
		}
		_, err = s.catalog.Graph(t.Context(), p.ID, 3)
		if gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v for a version that is not there, want not found", err)
		}
	})
}

// TestManualBeforeItsTools checks the manual's example where there is no tool
// for HTTP: that is its one fault.
func TestManualBeforeItsTools(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	c := newBench(t).checker()
	c.Tool, c.Tools = func(string) (gathering.ToolSpec, bool) { return gathering.ToolSpec{}, false }, nil
	_, err = c.Load(data)
	got, _ := errors.AsType[definition.Faults](err)
	if len(got) != 1 || !strings.HasPrefix(got[0].Path, "nodes.page.") || got[0].Problem != `there is no tool "http.request"` {
		t.Errorf("got %v, want one fault, that node page has no tool", err)
	}
}
