package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"gathering"
	"gathering/internal/keyring"
	"gathering/internal/store"
)

// seal binds entries to the seals before it.
type seal struct {
	number   int64
	at       int64
	entries  int64
	root     string // a hash over the digests of the entries, in the order of their IDs
	previous string // the hash of the seal before; "" of the first
	pruned   int64  // entries of seals up to this one may be gone
	key      string
	sign     []byte
}

// message is what is signed.
func (s seal) message() []byte {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []byte(strings.Join([]string{
		"gathering audit seal", number(s.number), number(s.at), number(s.entries), s.root, s.previous, number(s.pruned), s.key,
	}, "\n"))
}

// hash is by what the next seal, and the anchor, know this one.
func (s seal) hash() string {
	sum := sha256.Sum256(append(s.message(), s.sign...))
	return hex.EncodeToString(sum[:])
}

// digest is a hash of an entry. Each text is preceded by its length, so that no
// two entries are written alike.
func digest(e gathering.AuditEntry) string {
	h := sha256.New()
	text := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	number := func(n int64) { fmt.Fprintf(h, "%d,", n) }
	number(e.ID)
	number(e.At.UnixMicro())
	for _, s := range []string{
		e.Actor, e.ActorName, e.Credential, e.Address, e.Agent, e.Request,
		e.Action, e.Object, string(e.Project), string(e.Outcome), e.Reason,
	} {
		text(s)
	}
	number(e.Times)
	return hex.EncodeToString(h.Sum(nil))
}

const sealColumns = `number, at, entries, root, previous, pruned, key, signature`

func scanSeal(row store.Scanner) (seal, error) {
	var (
		s    seal
		sign string
	)
	err := row.Scan(&s.number, &s.at, &s.entries, &s.root, &s.previous, &s.pruned, &s.key, &sign)
	if err != nil {
		return s, err
	}
	s.sign, _ = base64.StdEncoding.DecodeString(sign)
	if base64.StdEncoding.EncodeToString(s.sign) != sign {
		s.sign = nil // one that was changed, if only in how it is written, verifies nothing
	}
	return s, nil
}

// lastSeal is the zero value where there is none.
func lastSeal(ctx context.Context, q store.Querier) (seal, error) {
	return oneSeal(q.QueryRow(ctx, `SELECT `+sealColumns+` FROM audit_seals ORDER BY number DESC LIMIT 1`))
}

func oneSeal(row *store.Row) (seal, error) {
	s, err := scanSeal(row)
	if errors.Is(err, sql.ErrNoRows) {
		return seal{}, nil
	}
	if err != nil {
		return seal{}, fmt.Errorf("read a seal: %w", err)
	}
	return s, nil
}

// Sealer seals what was written and deletes what is old. One that works in
// several instances at a time is good as well: each seal is made by one of them.
type Sealer struct {
	DB     *store.DB
	Ring   *keyring.Ring
	Anchor Anchor
	Now    func() time.Time
	Logger *slog.Logger
	// Retention says how long entries are kept; 0 is for ever, and so is nil.
	Retention func(ctx context.Context) (time.Duration, error)

	stop  context.CancelFunc
	ended sync.WaitGroup
}

const (
	sealPause  = 500 * time.Millisecond
	prunePause = 10 * time.Minute
	maxEntries = 1000 // of one seal, which are written in one transaction
)

// Start begins to seal. Stop it.
func (s *Sealer) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.ended.Go(func() { s.work(ctx) })
}

// Stop seals what is left and ends.
func (s *Sealer) Stop(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
		s.ended.Wait()
		s.stop = nil
	}
	return s.Seal(ctx)
}

func (s *Sealer) work(ctx context.Context) {
	tick := time.NewTicker(sealPause)
	defer tick.Stop()
	prune := time.NewTimer(sealPause)
	defer prune.Stop()
	failing := false
	for {
		select {
		case <-tick.C:
			err := s.Seal(ctx)
			if !failing {
				s.tell(ctx, err)
			}
			failing = err != nil
		case <-prune.C:
			s.tell(ctx, s.Prune(ctx))
			prune.Reset(prunePause)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Sealer) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.Logger.ErrorContext(ctx, "the audit trail is not kept as it should be for now", slog.String("error", err.Error()))
	}
}

// Seal seals every entry that is committed and has no seal, and anchors the
// last seal.
func (s *Sealer) Seal(ctx context.Context) error {
	for {
		// The last seal is read first. Whoever seals one of the entries that
		// are read then takes the number that is next here.
		last, err := lastSeal(ctx, s.DB.Read())
		if err != nil {
			return err
		}
		entries, err := unsealed(ctx, s.DB.Read())
		if err != nil {
			return err
		}
		next := last
		if len(entries) > 0 {
			if next, err = s.seal(ctx, last, entries, last.pruned); err != nil {
				return err
			}
		}
		if len(entries) < maxEntries || next.number == last.number {
			return s.anchor(ctx, next)
		}
	}
}

// anchor notes the last seal beside the keys. Where the seal that is noted is
// not in the trail any more, the note stays, for [Verify] to tell of it.
func (s *Sealer) anchor(ctx context.Context, last seal) error {
	at, err := s.Anchor.read()
	if err != nil || at == last.anchored() {
		return err
	}
	if at.Seal > 0 {
		noted, err := oneSeal(s.DB.Read().QueryRow(ctx, `SELECT `+sealColumns+` FROM audit_seals WHERE number = $1`, at.Seal))
		switch {
		case err != nil:
			return err
		case noted.anchored() != at:
			return gathering.NewError(gathering.KindConflict, "seal %d of the audit trail, which was made, is gone or another one", at.Seal)
		case last.number <= at.Seal: // another process was here meanwhile
			return nil
		}
	}
	return s.Anchor.write(last.anchored())
}

func unsealed(ctx context.Context, q store.Querier) ([]gathering.AuditEntry, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM audit WHERE seal IS NULL ORDER BY id LIMIT $1`, maxEntries)
	if err != nil {
		return nil, fmt.Errorf("read what is not sealed: %w", err)
	}
	var entries []gathering.AuditEntry
	err = rows.Each(func(row store.Scanner) error {
		e, err := scan(row)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is not sealed: %w", err)
	}
	return entries, nil
}

// seal makes the seal after the last one and returns it. Pruned is what it says
// is pruned. That another instance makes the seal of that number instead is no
// error, and the last one is returned: it sealed the same entries, or the next
// seal will.
func (s *Sealer) seal(ctx context.Context, last seal, entries []gathering.AuditEntry, pruned int64) (seal, error) {
	next := seal{number: last.number + 1, at: s.Now().UnixMicro(), entries: int64(len(entries)), pruned: pruned}
	h := sha256.New()
	rows := make([][]any, len(entries))
	for i, e := range entries {
		d := digest(e)
		h.Write([]byte(d))
		rows[i] = []any{e.ID, next.number, d}
	}
	next.root = hex.EncodeToString(h.Sum(nil))
	if last.number > 0 {
		next.previous = last.hash()
	}
	var private ed25519.PrivateKey
	next.key, private = s.Ring.SigningKey(keyring.PurposeSeal)
	next.sign = ed25519.Sign(private, next.message())
	var b store.Batch
	b.Exec(`INSERT INTO audit_seals (`+sealColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		next.number, next.at, next.entries, next.root, next.previous, next.pruned, next.key, base64.StdEncoding.EncodeToString(next.sign))
	b.Rows(`UPDATE audit SET seal = {seal}, digest = {digest} {from} WHERE audit.id = {id}`,
		[]store.Column{{Name: "id", Type: store.Int}, {Name: "seal", Type: store.Int}, {Name: "digest", Type: store.Text}}, rows, nil)
	switch err := s.DB.Run(ctx, &b); {
	case store.IsUniqueViolation(err):
		return last, nil
	case err != nil:
		return last, fmt.Errorf("seal %d audit entries: %w", len(entries), err)
	}
	return next, nil
}

// Prune deletes the entries of the seals at the beginning that are all older
// than the retention, by whole seals: one that was made while the clock was
// wrong does not have what is around it deleted. The next seal says so first.
func (s *Sealer) Prune(ctx context.Context) error {
	if s.Retention == nil {
		return nil
	}
	keep, err := s.Retention(ctx)
	if err != nil || keep <= 0 {
		return err
	}
	last, err := lastSeal(ctx, s.DB.Read())
	if err != nil {
		return err
	}
	young, err := oneSeal(s.DB.Read().QueryRow(ctx, `SELECT `+sealColumns+` FROM audit_seals WHERE number > $1 AND at >= $2 ORDER BY number LIMIT 1`,
		last.pruned, s.Now().Add(-keep).UnixMicro()))
	if err != nil {
		return err
	}
	upTo := last.number
	if young.number > 0 {
		upTo = young.number - 1
	}
	if upTo > last.pruned {
		if last, err = s.seal(ctx, last, nil, upTo); err != nil {
			return err
		}
	}
	for {
		var n int64
		err := s.DB.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM audit WHERE seal <= (SELECT max(w.seal) FROM
				(SELECT seal FROM audit WHERE seal <= $1 ORDER BY seal LIMIT 500) AS w)`, last.pruned)
			return err
		})
		if err != nil {
			return fmt.Errorf("delete old audit entries: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}
