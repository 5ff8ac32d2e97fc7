package keyring

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"gathering"
	"gathering/internal/store"
)

const checkPrefix = "key:"

// Agree holds the ring against the keys that the database was used with, and
// notes the current one there. A key that the ring does not have, or has
// another one in the place of, is a conflict that names it: what was made with
// it could not be read, or be believed. Where several machines share a
// database they share a ring.
func (r *Ring) Agree(ctx context.Context, db *store.DB) error {
	known, err := r.known(ctx, db.Read())
	if err != nil || known {
		return err
	}
	err = db.Tx(ctx, func(tx *store.Tx) error {
		// Of instances that begin at once with a ring each, one is first, and
		// the others see its key: the row that all wait for is always there.
		var logID string
		if err := tx.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'log_id'`+tx.Dialect().ForUpdate()).Scan(&logID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`,
			checkPrefix+r.Current(), r.last().checkValue()); err != nil {
			return err
		}
		_, err := r.known(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("note the current key: %w", err)
	}
	return nil
}

// known reports whether the database knows the current key. A key that the
// database knows and the ring does not is an error.
func (r *Ring) known(ctx context.Context, q store.Querier) (bool, error) {
	rows, err := q.Query(ctx, `SELECT key, value FROM meta WHERE key >= 'key:' AND key < 'key;' ORDER BY key`)
	if err != nil {
		return false, fmt.Errorf("read which keys were used: %w", err)
	}
	known := false
	err = rows.Each(func(row store.Scanner) error {
		var name, value string
		if err := row.Scan(&name, &value); err != nil {
			return err
		}
		id := strings.TrimPrefix(name, checkPrefix)
		k, ok := r.find(id)
		switch {
		case !ok:
			return missing(id)
		case k.checkValue() != value:
			return gathering.NewError(gathering.KindConflict, "the database was used with another key %s than this one", id)
		}
		known = known || id == r.Current()
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("compare the keys that were used: %w", err)
	}
	return known, nil
}

// checkValue tells a key from others and nothing about it.
func (k key) checkValue() string { return hex.EncodeToString(k.mac(purposeCheck, k.id)) }
