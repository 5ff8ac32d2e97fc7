package auth

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gathering"
	"gathering/internal/store"
)

// patience is how many sign-ins may fail before further ones have to wait, and
// how long at most: longer with each.
type patience struct {
	free    int
	longest time.Duration
}

// Failures are counted for an account from one network and for an account from
// everywhere. The second wait is short, and not for those networks from which
// the account was used: who attacks an account keeps its owner out neither for
// long nor at home.
func (p patience) delay(failures int) time.Duration {
	over := failures - p.free
	if over < 0 {
		return 0
	}
	return min(time.Second<<min(over, 30), p.longest)
}

func perNetwork() patience { return patience{free: 5, longest: 15 * time.Minute} }
func perAccount() patience { return patience{free: 20, longest: time.Minute} }

// left is how long there is to wait until a time. What is later than any wait
// leads to was noted before the clock was set back, and keeps nobody out.
func (p patience) left(until, now time.Time) time.Duration {
	wait := until.Sub(now)
	if wait > 2*p.longest {
		return 0
	}
	return min(wait, p.longest)
}

// failuresKept is how long after the last one failures are counted.
const failuresKept = time.Hour

func accountKey(account string) string { return "account " + digest(account) }

func networkKey(account string, from Where) string {
	return "network " + digest(account+"\x00"+from.Network)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// attempt is somebody saying that an account is theirs.
type attempt struct {
	account, password string
	from              Where
	entry             gathering.AuditEntry // of what they would do; by the caller, if it names nobody
}

// proof is what became of an attempt.
type proof struct {
	user    gathering.User
	hash    string // of the password, as it was stored then
	matches bool   // and the user is active
	stale   bool   // the hash should be another
}

// prove finds out whether an attempt is right. One that is not, or was not even
// looked at, is counted and audited.
func (s *Service) prove(ctx context.Context, a attempt) (proof, error) {
	p, err := s.look(ctx, a)
	switch {
	case err != nil:
		a.entry.Outcome, a.entry.Reason = gathering.OutcomeDenied, "not looked at"
		if gathering.KindOf(err) == gathering.KindExhausted {
			a.entry.Reason = "too many failures before it"
		}
	case p.matches:
		return p, nil
	default:
		a.entry.Outcome, a.entry.Reason = gathering.OutcomeFailed, p.fault()
	}
	if a.entry.ActorName != "" { // who signs in is whose account it is
		a.entry.Actor = string(p.user.ID)
	}
	s.repeats.Record(ctx, a.entry)
	return p, err
}

func (p proof) fault() string {
	switch {
	case p.user.ID == "":
		return "no such account"
	case !p.user.Active:
		return "disabled account"
	}
	return "wrong password"
}

// look checks an attempt when its turn has come. Only then it is known how many
// have failed: of many that come at once hardly more are looked at than of as
// many that come one after the other.
func (s *Service) look(ctx context.Context, a attempt) (p proof, err error) {
	if err := s.admit(ctx, a.account, a.from); err != nil { // who has to wait takes nobody's turn
		return p, err
	}
	leave, err := s.hasher.slot(ctx)
	if err != nil {
		return p, err
	}
	defer leave()
	if err := s.admit(ctx, a.account, a.from); err != nil {
		return p, err
	}
	if p.user, p.hash, err = s.credentials(ctx, a.account); err != nil {
		return p, err
	}
	if p.matches, p.stale, err = s.hasher.check(a.password, p.hash); err != nil {
		return p, err
	}
	if p.matches = p.matches && p.user.Active; p.matches {
		return p, nil
	}
	return p, s.fail(ctx, a.account, a.from)
}

// admit refuses a sign-in that has to wait. What it answers tells nothing
// about the account.
func (s *Service) admit(ctx context.Context, account string, from Where) error {
	now := s.now()
	wait, err := s.wait(ctx, networkKey(account, from), perNetwork(), now)
	if err != nil {
		return err
	}
	if wait <= 0 {
		if wait, err = s.wait(ctx, accountKey(account), perAccount(), now); err != nil || wait <= 0 {
			return err
		}
		home, err := s.usedFrom(ctx, account, from, now)
		if err != nil || home {
			return err
		}
	}
	return gathering.Delayed(gathering.NewError(gathering.KindExhausted, "too many sign-ins failed: wait a little"), wait)
}

// wait is how long a key has to wait.
func (s *Service) wait(ctx context.Context, key string, p patience, now time.Time) (time.Duration, error) {
	var until int64
	err := s.db.Read().QueryRow(ctx, `SELECT until FROM signin_failures WHERE key = $1`, key).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for failed sign-ins: %w", err)
	}
	return p.left(at(until), now), nil
}

// usedFrom reports whether an account was used from a network.
func (s *Service) usedFrom(ctx context.Context, account string, from Where, now time.Time) (bool, error) {
	var n int
	err := s.db.Read().QueryRow(ctx, `SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE u.email = $1 AND s.network = $2 AND s.expires_at > $3`, account, from.Network, now.UnixMicro()).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look where an account was used: %w", err)
	}
	return n > 0, nil
}

// countTimeout is how long counting a failure may take.
const countTimeout = 10 * time.Second

// fail counts a sign-in that was wrong, though whoever tried has hung up.
func (s *Service) fail(ctx context.Context, account string, from Where) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	now := s.now()
	err := s.db.Tx(ctx, func(tx *store.Tx) error {
		if err := count(ctx, tx, accountKey(account), perAccount(), now); err != nil {
			return err
		}
		return count(ctx, tx, networkKey(account, from), perNetwork(), now)
	})
	if err != nil {
		return fmt.Errorf("count a failed sign-in: %w", err)
	}
	return nil
}

func count(ctx context.Context, tx *store.Tx, key string, p patience, now time.Time) error {
	var failures int
	err := tx.QueryRow(ctx, `INSERT INTO signin_failures (key, failures, last_at, until) VALUES ($1, 1, $2, 0)
		ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at,
			failures = CASE WHEN signin_failures.last_at < $3 THEN 1 ELSE signin_failures.failures + 1 END
		RETURNING failures`, key, now.UnixMicro(), now.Add(-failuresKept).UnixMicro()).Scan(&failures)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE signin_failures SET until = $2 WHERE key = $1`, key, now.Add(p.delay(failures)).UnixMicro())
	return err
}

func clearFailures(ctx context.Context, tx *store.Tx, keys []string) error {
	for _, key := range keys {
		if _, err := tx.Exec(ctx, `DELETE FROM signin_failures WHERE key = $1`, key); err != nil {
			return err
		}
	}
	return nil
}

// Expire deletes sessions that are over and failures that do not count any
// more.
func (s *Service) Expire(ctx context.Context) error {
	now := s.now()
	for {
		var n int64
		err := s.db.Tx(ctx, func(tx *store.Tx) error {
			sessions, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT 500)`, now.UnixMicro())
			if err != nil {
				return err
			}
			failures, err := tx.Exec(ctx, `DELETE FROM signin_failures WHERE key IN (SELECT key FROM signin_failures WHERE last_at < $1 LIMIT 500)`,
				now.Add(-failuresKept).UnixMicro())
			n = sessions + failures
			return err
		})
		if err != nil {
			return fmt.Errorf("delete what is over: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}
