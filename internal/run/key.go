package run

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gathering"
	"gathering/internal/store"
)

// OnKey says what becomes of a new run whose key another one has that has not
// ended.
type OnKey string

// What becomes of a new run whose key is taken.
const (
	KeyReject   OnKey = "reject"   // it is refused as a conflict that names the other; what "" means
	KeyExisting OnKey = "existing" // the other is returned instead
	KeyCancel   OnKey = "cancel"   // the other is asked to stop, and once it has ended the new one is stored
)

// replaceWait bounds how long a new run waits for the end of the one before it.
const replaceWait = 35 * time.Second

// reservedKey begins the keys that the service itself gives.
const reservedKey = "redrive:"

func checkRunKey(n New) error {
	switch n.OnKey {
	case "", KeyReject, KeyExisting, KeyCancel:
	default:
		return gathering.NewError(gathering.KindInvalid, "nothing is known to do with the key").WithFields(gathering.FieldError{
			Field: "on_key", Problem: fmt.Sprintf("must be %s, %s or %s", KeyReject, KeyExisting, KeyCancel),
		})
	}
	if strings.HasPrefix(n.Key, reservedKey) {
		return gathering.NewError(gathering.KindInvalid, "the key cannot be used").
			WithFields(gathering.FieldError{Field: "key", Problem: "must not begin with " + reservedKey})
	}
	return checkKey("key", n.Key)
}

// startKeyed stores a new run that has a key.
func (s *Service) startKeyed(ctx context.Context, n New) (gathering.Run, error) {
	waiting, cancel := context.WithTimeout(ctx, replaceWait)
	defer cancel()
	const tries = 20 // others may take the key between two looks, again and again
	var refused error
	for range tries {
		holder, err := s.holder(ctx, n)
		if err != nil {
			return gathering.Run{}, err
		}
		if holder == "" {
			r, err := s.startOne(ctx, n)
			if !store.IsUniqueViolation(err) {
				return r, err
			}
			refused = err
			continue
		}
		switch {
		case n.OnKey == KeyExisting, holder == n.ID: // which the same request started meanwhile
			return s.Run(ctx, holder)
		case n.OnKey == KeyCancel:
			if err := s.replace(waiting, holder); err != nil {
				return gathering.Run{}, err
			}
		default:
			return gathering.Run{}, gathering.NewError(gathering.KindConflict, "run %s has the key and has not ended", holder)
		}
	}
	return gathering.Run{}, gathering.NewError(gathering.KindConflict, "others take the key again and again").WithCause(refused)
}

// holder is the run that has the key and has not ended; "" is none.
func (s *Service) holder(ctx context.Context, n New) (gathering.RunID, error) {
	var id gathering.RunID
	err := s.db.Read().QueryRow(ctx, `SELECT id FROM runs WHERE project = $1 AND run_key = $2 AND run_key IS NOT NULL AND finished_at IS NULL`,
		string(n.Project), n.Key).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look who has the key: %w", err)
	}
	return id, nil
}

// replace asks a run to stop and waits for its end.
func (s *Service) replace(ctx context.Context, id gathering.RunID) error {
	if _, err := s.Cancel(ctx, id, "the next run with its key"); err != nil && gathering.KindOf(err) != gathering.KindConflict {
		return err
	}
	err := s.Wait(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) {
		return gathering.NewError(gathering.KindConflict, "run %s has the key, was asked to stop and has not ended", id).WithCause(err)
	}
	return err
}
