package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"gathering"
	"gathering/internal/keyring"
	"gathering/internal/store"
)

// Report is what [Verify] found.
type Report struct {
	Seals   int64 `json:"seals"`
	Entries int64 `json:"entries"` // that are sealed and there
	Pruned  int64 `json:"pruned"`  // that were deleted because they were old
	// Unsealed is how many entries no seal covers yet: nothing says that there
	// were not more.
	Unsealed int64   `json:"unsealed"`
	Faults   []Fault `json:"faults"`
	// Anchored says whether there was an anchor to show that the last seal is
	// the last that was made.
	Anchored bool `json:"anchored"`
}

// Fault is a place where the trail is not as it was written.
type Fault struct {
	Seal int64 `json:"seal"`
	// Entry is the entry that is at fault; 0 where it cannot be told, or is the seal.
	Entry   int64  `json:"entry,omitempty"`
	Problem string `json:"problem"`
}

const maxFaults = 100

// Verify reads the whole trail and says what is wrong with it.
func Verify(ctx context.Context, db *store.DB, ring *keyring.Ring, anchor Anchor) (Report, error) {
	at, err := anchor.read()
	if err != nil {
		return Report{}, err
	}
	v := &verifier{ring: ring, anchor: at, report: Report{Faults: []Fault{}, Anchored: at.Seal > 0}}
	for {
		seals, err := sealsAfter(ctx, db.Read(), v.last.number)
		if err != nil {
			return Report{}, err
		}
		if len(seals) == 0 {
			break
		}
		found, err := entriesOf(ctx, db.Read(), seals)
		if err != nil {
			return Report{}, err
		}
		// What is said to be deleted is said before it is.
		last, err := lastSeal(ctx, db.Read())
		if err != nil {
			return Report{}, err
		}
		v.pruned = last.pruned
		for _, s := range seals {
			v.seal(s, found[s.number])
		}
	}
	v.end()
	return v.report, v.loose(ctx, db.Read())
}

type verifier struct {
	ring   *keyring.Ring
	anchor anchored
	pruned int64 // as the last seal says, which has its turn too
	last   seal
	report Report
}

func (v *verifier) fault(s, entry int64, format string, args ...any) {
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, Fault{s, entry, fmt.Sprintf(format, args...)})
	}
}

// seal looks at one seal and the entries that bear its number.
func (v *verifier) seal(s seal, f content) {
	v.report.Seals++
	v.report.Entries += f.count
	if s.number != v.last.number+1 {
		v.fault(s.number, 0, "the seals before it are missing, back to %d", v.last.number)
	} else if v.last.number > 0 && s.previous != v.last.hash() {
		v.fault(s.number, 0, "it does not follow the seal before it: one of the two was changed")
	}
	if public, ok := v.ring.PublicKey(keyring.PurposeSeal, s.key); !ok {
		v.fault(s.number, 0, "it was signed by key %s, which is not in the ring", s.key)
	} else if !ed25519.Verify(public, s.message(), s.sign) {
		v.fault(s.number, 0, "its signature is wrong: the seal was changed")
	}
	for _, entry := range f.changed {
		v.fault(s.number, entry, "the entry was changed")
	}
	switch {
	case f.count == 0 && s.number <= v.pruned:
		v.report.Pruned += s.entries
	case f.count < s.entries:
		v.fault(s.number, 0, "%d of its %d entries were taken away", s.entries-f.count, s.entries)
	case f.count > s.entries:
		v.fault(s.number, 0, "%d entries were put to its %d", f.count-s.entries, s.entries)
	case f.count > 0 && f.root() != s.root:
		v.fault(s.number, 0, "an entry was changed so that it cannot be told which: they are %d to %d", f.first, f.last)
	}
	if s.number == v.anchor.Seal && s.anchored() != v.anchor {
		v.fault(s.number, 0, "it is not the seal that was made here under this number")
	}
	v.last = s
}

func (v *verifier) end() {
	if v.last.number < v.anchor.Seal {
		v.fault(v.anchor.Seal, 0, "the trail was cut: seals up to this one were made, and the last that is there is %d", v.last.number)
	}
}

// loose counts entries without a seal, and finds what is in no place that was
// looked at: entries of seals that do not exist, and seals before the first.
func (v *verifier) loose(ctx context.Context, q store.Querier) error {
	if err := q.QueryRow(ctx, `SELECT count(*) FROM audit WHERE seal IS NULL`).Scan(&v.report.Unsealed); err != nil {
		return fmt.Errorf("count what is not sealed: %w", err)
	}
	var n int64
	if err := q.QueryRow(ctx, `SELECT count(*) FROM audit WHERE seal IS NOT NULL
		AND (seal < 1 OR NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = audit.seal))`).Scan(&n); err != nil {
		return fmt.Errorf("look for entries under no seal: %w", err)
	}
	if n > 0 {
		v.fault(0, 0, "%d entries bear the number of a seal that is not there", n)
	}
	if err := q.QueryRow(ctx, `SELECT count(*) FROM audit_seals WHERE number < 1`).Scan(&n); err != nil {
		return fmt.Errorf("look for seals before the first: %w", err)
	}
	if n > 0 {
		v.fault(0, 0, "%d seals bear a number below 1, which none was made with", n)
	}
	return nil
}

const sealsAtOnce = 100

func sealsAfter(ctx context.Context, q store.Querier, after int64) ([]seal, error) {
	rows, err := q.Query(ctx, `SELECT `+sealColumns+` FROM audit_seals WHERE number > $1 ORDER BY number LIMIT $2`, after, sealsAtOnce)
	if err != nil {
		return nil, fmt.Errorf("read the seals: %w", err)
	}
	var seals []seal
	err = rows.Each(func(row store.Scanner) error {
		s, err := scanSeal(row)
		seals = append(seals, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the seals: %w", err)
	}
	return seals, nil
}

// content is the entries that bear the number of a seal.
type content struct {
	count       int64
	first, last int64
	changed     []int64   // those that are not as their digest says
	hash        hash.Hash // over the digests
}

func (f content) root() string { return hex.EncodeToString(f.hash.Sum(nil)) }

func (f content) with(e gathering.AuditEntry, written string) content {
	if f.hash == nil {
		f.hash, f.first = sha256.New(), e.ID
	}
	if digest(e) != written && len(f.changed) < maxFaults {
		f.changed = append(f.changed, e.ID)
	}
	f.hash.Write([]byte(written))
	f.count++
	f.last = e.ID
	return f
}

func entriesOf(ctx context.Context, q store.Querier, seals []seal) (map[int64]content, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+`, coalesce(digest, '') FROM audit WHERE seal >= $1 AND seal <= $2 ORDER BY seal, id`,
		seals[0].number, seals[len(seals)-1].number)
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	found := make(map[int64]content)
	err = rows.Each(func(row store.Scanner) error {
		var written string
		e, err := scan(row, &written)
		if err != nil {
			return err
		}
		found[e.Seal] = found[e.Seal].with(e, written)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	return found, nil
}
