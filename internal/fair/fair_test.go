package fair_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering/internal/fair"
)

func TestShare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		took string // by whom, one after the other
		left string
		who  []string
		n    int
		want []int
	}{
		{"nobody", "", "", nil, 3, []int{}},
		{"nothing", "", "", []string{"a"}, 0, []int{0}},
		{"one", "", "", []string{"a"}, 3, []int{3}},
		{"alike", "", "", []string{"a", "b", "c"}, 6, []int{2, 2, 2}},
		{"a rest", "", "", []string{"a", "b", "c"}, 4, []int{2, 1, 1}},
		{"who has some gets less", "aaa", "", []string{"a", "b"}, 5, []int{1, 4}},
		{"who has many gets none", "aaaaaaaa", "", []string{"a", "b"}, 5, []int{0, 5}},
		{"who had one last waits", "ab", "ab", []string{"a", "b", "c"}, 1, []int{0, 0, 1}},
		{"and then the next", "abc", "abc", []string{"a", "b", "c"}, 1, []int{1, 0, 0}},
		{"others do not matter", "xxxx", "", []string{"a", "b"}, 2, []int{1, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			turns := fair.New[string]()
			for _, who := range test.took {
				turns.Take(string(who))
			}
			for _, who := range test.left {
				turns.Leave(string(who))
			}
			clone := turns.Clone()
			if diff := cmp.Diff(test.want, clone.Share(test.who, test.n)); diff != "" {
				t.Errorf("shares (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	turns := fair.New[string]()
	for _, who := range []string{"a", "b"} {
		turns.Take(who)
		turns.Leave(who)
	}
	turns.Forget(func(who string) bool { return who == "a" })
	if got, want := turns.Share([]string{"a", "b"}, 1), []int{0, 1}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v: of whom nothing is known waited longest", got, want)
	}
}
