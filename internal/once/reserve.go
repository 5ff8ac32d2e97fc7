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
// change was made; two at the same time may both act. Without a key act is
// called with a fresh ID.
func Reserved[T any](ctx context.Context, db *store.DB, fresh func() string, act func(ctx context.Context, id string, repeated bool) (T, error)) (T, error) {
	var none, result T
	id := fresh()
	k, keyed := ctx.Value(contextKey{}).(*first)
	if !keyed {
		return act(ctx, id, false)
	}
	r, err := Do(ctx, db, func(*store.Tx) (reservation, error) { return reservation{ID: id}, nil })
	if err != nil {
		return none, err
	}
	if r.Answer == nil {
		unkeyed := context.WithValue(ctx, contextKey{}, nil) // what act does is told apart by the ID
		made, err := act(unkeyed, r.ID, r.ID != id)
		if gathering.KindOf(err) == gathering.KindConflict { // perhaps with the same request, which was quicker
			made, err = afterOthers(ctx, db, func() (T, error) { return act(unkeyed, r.ID, true) })
		}
		if err != nil {
			return none, k.release(ctx, db, r, err)
		}
		if err := k.keep(ctx, db, &r, made); err != nil {
			return none, err
		}
	}
	if err := json.Unmarshal(r.Answer, &result); err != nil {
		return none, fmt.Errorf("read what a request came to: %w", err)
	}
	return result, nil
}

// afterOthers acts when what others have written is there to be read. SQLite
// may tell of it before: no write begins until those before are committed.
func afterOthers[T any](ctx context.Context, db *store.DB, act func() (T, error)) (T, error) {
	if err := db.Tx(ctx, func(*store.Tx) error { return nil }); err != nil {
		var none T
		return none, fmt.Errorf("wait for what others write: %w", err)
	}
	return act()
}

// keep stores the answer, though the same request, refused meanwhile, has had
// the key forgotten.
func (k Key) keep(ctx context.Context, db *store.DB, r *reservation, made any) (err error) {
	if r.Answer, err = json.Marshal(made); err != nil {
		return fmt.Errorf("store what a request came to: %w", err)
	}
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("store what a request came to: %w", err)
	}
	err = db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO idempotency (key, fingerprint, result, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (key) DO UPDATE SET result = excluded.result WHERE idempotency.fingerprint = excluded.fingerprint`,
			k.name, k.fingerprint, codec.Encode(document), k.at.Add(Kept).UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("store what a request came to: %w", err)
	}
	return nil
}

// release forgets the key of what was refused, so that it can be asked for in
// another way. What may have happened all the same is not forgotten, and
// neither is what the same request was answered meanwhile.
func (k Key) release(ctx context.Context, db *store.DB, r reservation, refusal error) error {
	switch gathering.KindOf(refusal) {
	case gathering.KindInvalid, gathering.KindNotFound, gathering.KindForbidden, gathering.KindTooLarge, gathering.KindConflict:
	default:
		return refusal
	}
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("forget a key: %w", err)
	}
	err = db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE key = $1 AND result = $2`, k.name, codec.Encode(document))
		return err
	})
	if err != nil {
		return fmt.Errorf("forget a key: %w", err)
	}
	return refusal
}

// Note notes, in the transaction of a change that is made in another way, that
// what the context's key is of was done. False says that it was before.
func Note(ctx context.Context, tx *store.Tx) (fresh bool, err error) {
	k, keyed := ctx.Value(contextKey{}).(*first)
	if !keyed {
		return true, nil
	}
	n, err := tx.Exec(ctx, `INSERT INTO idempotency (key, fingerprint, result, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING`,
		k.name, k.fingerprint, codec.Encode([]byte("null")), k.at.Add(Kept).UnixMicro())
	if err != nil {
		return false, fmt.Errorf("note what a request came to: %w", err)
	}
	return n > 0, nil
}

// Known reports whether what the context's key is of was done before. Under a
// key that is known of another request it is a conflict.
func Known(ctx context.Context, db *store.DB) (bool, error) {
	_, known, err := recall(ctx, db)
	return known, err
}

// Recall returns what a request came to that was done before under the
// context's key, by [Do]. Under a key that is known of another request it is a
// conflict.
func Recall[T any](ctx context.Context, db *store.DB) (result T, known bool, err error) {
	document, known, err := recall(ctx, db)
	if err != nil || !known {
		return result, false, err
	}
	return result, true, json.Unmarshal(document, &result)
}

func recall(ctx context.Context, db *store.DB) (document []byte, known bool, err error) {
	k, keyed := ctx.Value(contextKey{}).(*first)
	if !keyed {
		return nil, false, nil
	}
	var (
		fingerprint string
		stored      []byte
	)
	err = db.Read().QueryRow(ctx, `SELECT fingerprint, result FROM idempotency WHERE key = $1 AND expires_at > $2`, k.name, k.at.UnixMicro()).
		Scan(&fingerprint, &stored)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read what a request came to: %w", err)
	case fingerprint != k.fingerprint:
		return nil, false, errOther()
	}
	document, err = codec.Decode(stored)
	return document, err == nil, err
}
