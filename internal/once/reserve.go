package once

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/store"
)

// reservation is what is stored of a change that [Reserved] makes.
type reservation struct {
	ID     string          `json:"id"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// Reserved makes a change that cannot be made in a transaction of this package:
// one that makes something under an ID which is reserved for it beforehand. A
// request that is repeated has the same ID, by which act finds out whether the
// change was made. Without a key act is called with a fresh ID.
func Reserved[T any](ctx context.Context, db *store.DB, fresh func() string, act func(ctx context.Context, id string, repeated bool) (T, error)) (T, error) {
	var result T
	k, keyed := ctx.Value(contextKey{}).(*first)
	if !keyed {
		return act(ctx, fresh(), false)
	}
	unkeyed := context.WithValue(ctx, contextKey{}, nil) // what act does is told apart by the ID
	made := false
	r, err := Do(ctx, db, func(*store.Tx) (reservation, error) {
		made = true
		return reservation{ID: fresh()}, nil
	})
	if err != nil {
		return result, err
	}
	if r.Answer != nil {
		return result, json.Unmarshal(r.Answer, &result)
	}
	result, err = act(unkeyed, r.ID, !made)
	if err != nil {
		return result, k.release(ctx, db, err)
	}
	if r.Answer, err = json.Marshal(result); err != nil {
		return result, fmt.Errorf("store what a request came to: %w", err)
	}
	return result, k.keep(ctx, db, r)
}

func (k Key) keep(ctx context.Context, db *store.DB, r reservation) error {
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("store what a request came to: %w", err)
	}
	err = db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE idempotency SET result = $2 WHERE key = $1`, k.name, codec.Encode(document))
		return err
	})
	if err != nil {
		return fmt.Errorf("store what a request came to: %w", err)
	}
	return nil
}

// release forgets the key of what was refused, so that it can be asked for in
// another way. What may have happened all the same is not forgotten.
func (k Key) release(ctx context.Context, db *store.DB, refusal error) error {
	switch gathering.KindOf(refusal) {
	case gathering.KindInvalid, gathering.KindNotFound, gathering.KindForbidden, gathering.KindTooLarge, gathering.KindConflict:
	default:
		return refusal
	}
	err := db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE key = $1`, k.name)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget a key: %w", err)
	}
	return refusal
}

// Known reports whether what the context's key is of was done before. Under a
// key that is known of another request it is a conflict.
func Known(ctx context.Context, db *store.DB) (bool, error) {
	k, keyed := ctx.Value(contextKey{}).(*first)
	if !keyed {
		return false, nil
	}
	var fingerprint string
	err := db.Read().QueryRow(ctx, `SELECT fingerprint FROM idempotency WHERE key = $1 AND expires_at > $2`, k.name, k.at.UnixMicro()).Scan(&fingerprint)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read what a request came to: %w", err)
	case fingerprint != k.fingerprint:
		return false, errOther()
	}
	return true, nil
}

func errOther() error {
	return gathering.NewError(gathering.KindConflict, "the idempotency key was used for another request")
}
