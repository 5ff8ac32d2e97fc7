package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/store"
)

// place is where nothing is spoiled: a fresh directory and, where that is the
// database, fresh schemas of PostgreSQL.
type place struct {
	product app.Options
	bare    store.Options
	undo    []func(context.Context) error
}

// settle makes a place inside that of the options.
func settle(ctx context.Context, o app.Options) (*place, error) {
	p := &place{product: o}
	if err := p.settle(ctx, o); err != nil {
		return nil, errors.Join(err, p.remove(ctx))
	}
	return p, nil
}

func (p *place) settle(ctx context.Context, o app.Options) error {
	data := o.Data
	if data == "" {
		data = "data"
	}
	_, err := os.Stat(data)
	if errors.Is(err, os.ErrNotExist) {
		p.undo = append(p.undo, func(context.Context) error {
			_ = os.Remove(data) // it stays if somebody else uses it by now
			return nil
		})
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return gathering.NewError(gathering.KindUnavailable, "the data directory cannot be made").WithCause(err)
	}
	scratch, err := os.MkdirTemp(data, "bench-")
	if err != nil {
		return gathering.NewError(gathering.KindUnavailable, "the data directory cannot be written").WithCause(err)
	}
	p.undo = append(p.undo, func(context.Context) error { return os.RemoveAll(scratch) })
	p.product.Data = filepath.Join(scratch, "runs")
	p.bare.Dir = filepath.Join(scratch, "bare")
	if o.Database == "" {
		return nil
	}
	if p.product.Database, err = p.schema(ctx, o.Database); err != nil {
		return err
	}
	p.bare.URL, err = p.schema(ctx, o.Database)
	return err
}

func (p *place) schema(ctx context.Context, database string) (string, error) {
	where, drop, err := store.NewSchema(ctx, database, "gathering_bench")
	if err == nil {
		p.undo = append(p.undo, drop)
	}
	return where, err
}

// remove removes everything that was made, the last first.
func (p *place) remove(ctx context.Context) error {
	var all error
	for len(p.undo) > 0 {
		last := len(p.undo) - 1
		if err := p.undo[last](ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("remove what was measured: %w", err))
		}
		p.undo = p.undo[:last]
	}
	return all
}
