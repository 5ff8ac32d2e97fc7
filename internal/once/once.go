// Package once has a change that is asked for again under the same key happen
// one time: what it came to is stored in the transaction of the change, and told
// again to whoever repeats the request.
package once

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/store"
)

// Kept is how long a key is known.
const Kept = 24 * time.Hour

// MaxKey is how long a key may be, in bytes.
const MaxKey = 255

// Request is what makes two requests the same one.
type Request struct {
	Who  string // asks. Others may use the same key for something else
	Key  string // that was given: 1 to [MaxKey] bytes
	What string // is asked for: the method, the path with its query
	Body []byte
}

// Key is what a request is known by.
type Key struct {
	name, fingerprint string
	at                time.Time
}

// NewKey returns the key of a request. One that cannot be used is of kind invalid.
func NewKey(r Request, now time.Time) (Key, error) {
	if r.Key == "" || len(r.Key) > MaxKey {
		return Key{}, gathering.NewError(gathering.KindInvalid, "the idempotency key cannot be used").
			WithFields(gathering.FieldError{Field: "Idempotency-Key", Problem: fmt.Sprintf("must have 1 to %d characters", MaxKey)})
	}
	// Neither tells the key. So the fingerprint, with which the key went in,
	// does not help to guess what was in the body, as a password.
	return Key{name: sum(r.Who, r.Key), fingerprint: sum(r.Who, r.Key, r.What, string(r.Body)), at: now}, nil
}

func sum(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type contextKey struct{}

// first is a key in a context, until a change was made under it.
type first struct {
	Key

	used atomic.Bool
}

// With returns a context in which the one change that is made is made once
// under a key.
func With(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, contextKey{}, &first{Key: k})
}

// Do makes a change in a transaction and returns what it came to. If the
// context has a key, that is stored as JSON, and what JSON tells of it is
// returned, the first time as any other. Under a key that is known Do makes no
// change and returns what was stored; under one that is known of another
// request it is a conflict. What fails is not remembered.
func Do[T any](ctx context.Context, db *store.DB, change func(tx *store.Tx) (T, error)) (T, error) {
	k, keyed := ctx.Value(contextKey{}).(*first)
	if keyed && k.used.Load() {
		var none T
		return none, errors.New("make a change once: another was made under the key before")
	}
	var result T
	err := db.Tx(ctx, func(tx *store.Tx) (err error) {
		if !keyed {
			result, err = change(tx)
			return err
		}
		document, err := k.document(ctx, tx, func() (any, error) { return change(tx) })
		if err != nil {
			return err
		}
		var told T // a transaction that is repeated may find another answer than it made before
		if err := json.Unmarshal(document, &told); err != nil {
			return fmt.Errorf("read what a request came to: %w", err)
		}
		result = told
		return nil
	})
	if err != nil {
		var none T
		return none, err
	}
	if keyed {
		k.used.Store(true)
	}
	return result, nil
}

// document is what the change came to, now or before.
func (k Key) document(ctx context.Context, tx *store.Tx, change func() (any, error)) ([]byte, error) {
	// Whoever inserts first holds the key until the end of the transaction:
	// others wait here. One that is out of date is as good as none.
	n, err := tx.Exec(ctx, `INSERT INTO idempotency (key, fingerprint, result, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, result = excluded.result, expires_at = excluded.expires_at
		WHERE idempotency.expires_at <= $5`,
		k.name, k.fingerprint, codec.Encode(nil), k.at.Add(Kept).UnixMicro(), k.at.UnixMicro())
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return k.known(ctx, tx)
	}
	result, err := change()
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("store what a request came to: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE idempotency SET result = $2 WHERE key = $1`, k.name, codec.Encode(document))
	return document, err
}

// known is what the request came to before.
func (k Key) known(ctx context.Context, tx *store.Tx) ([]byte, error) {
	var (
		fingerprint string
		stored      []byte
	)
	if err := tx.QueryRow(ctx, `SELECT fingerprint, result FROM idempotency WHERE key = $1`, k.name).Scan(&fingerprint, &stored); err != nil {
		return nil, fmt.Errorf("read what a request came to: %w", err)
	}
	if fingerprint != k.fingerprint {
		return nil, errOther()
	}
	return codec.Decode(stored)
}

func errOther() error {
	return gathering.NewError(gathering.KindConflict, "the idempotency key was used for another request")
}

// Expire forgets the keys whose time is up.
func Expire(ctx context.Context, db *store.DB, now time.Time) error {
	for {
		var n int64
		err := db.Tx(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at <= $1 LIMIT 500)`, now.UnixMicro())
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
