package auth_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store/storetest"
)

// sample is how long one sign-in took.
type sample struct {
	kind int
	took time.Duration
}

// apart is how far two kinds of samples are apart by the test of Mann and
// Whitney, in standard deviations of what chance makes of two that are the same.
// It looks at ranks alone: one sample that took for ever counts as any other.
func apart(samples []sample, a, b int) float64 {
	both := slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.kind != a && s.kind != b })
	slices.SortFunc(both, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	var n, m, ranks float64
	for i, s := range both {
		if s.kind == a {
			n++
			ranks += float64(i + 1)
		} else {
			m++
		}
	}
	u := ranks - n*(n+1)/2
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

// Nobody can tell by the time that a sign-in takes whether there is an account,
// and whether the password was right. Samples of all kinds take turns in an
// order of chance, so that whatever else goes on here slows all down alike.
// Chance alone comes to 5 once in a million times; without the check of a
// password that nobody has it is 6 to 10.
func TestTimeTellsNothing(t *testing.T) {
	t.Parallel()
	w := newCostly(t, storetest.Open(t, storetest.SQLite(t)), keyring.New(noon()), auth.Options{
		Now: noon, Cost: auth.Cost{Memory: 4 << 10, Iterations: 1, Parallelism: 1},
	})
	w.user("admin@example.com", gathering.RoleAdmin)
	const each, accounts = 80, 5 // so that no account has to wait
	kinds := []struct{ name, secret string }{
		{"there", another}, {"absent", another}, {"disabled", another}, {"disabled, right", password}, {"mute", another}, {"mute, empty", ""},
	}
	for kind, k := range kinds {
		for i := range accounts {
			n := auth.NewUser{Email: fmt.Sprintf("%d.%d@example.com", kind, i), Role: gathering.RoleViewer, Password: password}
			switch k.name {
			case "absent":
				continue
			case "mute", "mute, empty":
				n.Password = ""
			}
			u, err := w.CreateUser(w.ctx(), n)
			w.must(err)
			if k.name == "disabled" || k.name == "disabled, right" {
				w.update(u, auth.UserUpdate{Active: new(false)})
			}
		}
	}
	order := rand.Perm(each * len(kinds))
	samples := make([]sample, len(order))
	for i, at := range order {
		kind := at % len(kinds)
		who, where := fmt.Sprintf("%d.%d@example.com", kind, at/len(kinds)%accounts), from(fmt.Sprint(at))
		begun := time.Now()
		_, err := w.SignIn(w.ctx(), who, kinds[kind].secret, where)
		samples[i] = sample{kind, time.Since(begun)}
		wantKind(t, kinds[kind].name, err, gathering.KindUnauthenticated)
	}
	for a := range kinds {
		for b := range a {
			if got := apart(samples, a, b); math.Abs(got) > 5 {
				t.Errorf("%q and %q are %.1f deviations apart", kinds[a].name, kinds[b].name, got)
			} else {
				t.Logf("%q and %q: %.1f", kinds[a].name, kinds[b].name, got)
			}
		}
	}
}
