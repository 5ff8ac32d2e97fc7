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

// admit refuses a sign-in that has to wait. What it answers tells nothing
// about the account.
func (s *Service) admit(ctx context.Context, account string, from Where, now time.Time) error {
	wait, err := s.wait(ctx, networkKey(account, from), now)
	if err != nil {
		return err
	}
	if wait <= 0 {
		if wait, err = s.wait(ctx, accountKey(account), now); err != nil || wait <= 0 {
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
func (s *Service) wait(ctx context.Context, key string, now time.Time) (time.Duration, error) {
	var until int64
	err := s.db.Read().QueryRow(ctx, `SELECT until FROM signin_failures WHERE key = $1`, key).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for failed sign-ins: %w", err)
	}
	// A clock that was set back must not keep anybody out.
	return min(at(until).Sub(now), perNetwork().longest), nil
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

// fail counts a sign-in that was wrong.
func (s *Service) fail(ctx context.Context, account string, from Where) error {
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

// Expire deletes sessions that are over and
// failures that do not count any more.
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
