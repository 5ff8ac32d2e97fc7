package definition_test

import (
	"errors"
	"testing"

	"gathering/internal/definition"
)

// FuzzLoad holds that no file ends the process, that every refusal says
// something, and that what is accepted survives being stored.
func FuzzLoad(f *testing.F) {
	for _, file := range files(f, "testdata/valid/*.yaml", "testdata/valid/*.json", "testdata/broken/*.yaml", "testdata/broken/*.json") {
		f.Add(read(f, file))
	}
	c := checker()
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := c.Load(data)
		if err == nil {
			roundTrip(t, def)
			return
		}
		faults, ok := errors.AsType[definition.Faults](err)
		if !ok || len(faults) == 0 {
			t.Fatalf("Load = %v, want faults", err)
		}
		for i, fault := range faults {
			if fault.Line < 1 || fault.Problem == "" {
				t.Errorf("fault %+v says too little", fault)
			}
			if i > 0 && fault.Line < faults[i-1].Line {
				t.Errorf("fault %+v is out of order", fault)
			}
		}
	})
}
