package store

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Gate stands between somebody and a database. It is told of each access and
// has it carried out, at once, late or not at all; its answer is the answer. A
// write that was carried out and is answered with an error is [Ambiguous].
type Gate func(ctx context.Context, a Access) error

// Access is one use of a database that a [Gate] is told of.
type Access struct {
	Kind AccessKind
	// Do carries it out, whatever has become of its context meanwhile. It is
	// called at most once, and by the gate before that returns.
	Do func() error
	// Straggle carries out a batch for nobody: its caller was answered long
	// ago, as when a packet is late. Nil for every other access.
	Straggle func() error
}

// AccessKind says what an access does.
type AccessKind int

// The kinds of access.
const (
	Reading AccessKind = iota // one query
	Writing                   // one transaction or batch
	Holding                   // taking a key of liveness
	Beating                   // a beat of [Liveness]
	Asking                    // [DB.Alive]
)

// Through is the database as somebody sees it who reaches it by way of the gate
// alone. Tests have several instances on one SQLite database so, each with its
// own trouble. Closing it leaves the database open and lets go of the keys of
// liveness that were taken through it, as the end of a process does.
func (db *DB) Through(gate Gate) *DB {
	return &DB{dialect: db.dialect, backend: &view{backend: db.backend, gate: gate}, logID: db.logID, readOnly: db.readOnly}
}

// Exclusive reports whether no other instance than this process can use the
// database: it holds the lock of its directory.
func (db *DB) Exclusive() bool { return db.directory != nil }

// view is a backend behind a gate.
type view struct {
	backend

	gate Gate
	mu   sync.Mutex
	keys []Liveness
}

// pass asks the gate for one access.
func (v *view) pass(ctx context.Context, kind AccessKind, do func(ctx context.Context) error) error {
	return v.gate(ctx, Access{Kind: kind, Do: func() error { return do(context.WithoutCancel(ctx)) }})
}

func (v *view) tx(ctx context.Context, fn func(tx *Tx) error) error {
	return commitThrough(ctx, func(ctx context.Context, do func() error) error {
		return v.gate(ctx, Access{Kind: Writing, Do: do})
	}, func() error { return v.backend.tx(context.WithoutCancel(ctx), fn) })
}

func (v *view) run(ctx context.Context, b *Batch) error {
	unheard := b.unheard()
	lasting := context.WithoutCancel(ctx)
	return commitThrough(ctx, func(ctx context.Context, do func() error) error {
		return v.gate(ctx, Access{Kind: Writing, Do: do, Straggle: func() error { return v.backend.run(lasting, unheard) }})
	}, func() error { return v.backend.run(lasting, b) })
}

// unheard is the batch with nobody to hear its answers.
func (b *Batch) unheard() *Batch {
	u := &Batch{statements: slices.Clone(b.statements)}
	for i := range u.statements {
		if s := &u.statements[i]; s.scan != nil {
			s.scan = func(Scanner) error { return nil }
		}
		if s := &u.statements[i]; s.verdicts != nil {
			s.verdicts = func([]int64) {}
		}
	}
	return u
}

func (v *view) reader() session { return viewReader{v} }

type viewReader struct{ view *view }

func (r viewReader) exec(ctx context.Context, query string, args []any) (n int64, err error) {
	err = r.view.pass(ctx, Writing, func(ctx context.Context) error {
		n, err = r.view.backend.reader().exec(ctx, query, args)
		return err
	})
	return n, err
}

func (r viewReader) query(ctx context.Context, query string, args []any) (rows *Rows, err error) {
	err = r.view.pass(ctx, Reading, func(ctx context.Context) error {
		rows, err = r.view.backend.reader().query(ctx, query, args)
		return err
	})
	if err != nil && rows != nil {
		_ = rows.rows.Close()
		rows = nil
	}
	return rows, err
}

func (v *view) live(ctx context.Context, key string) (l Liveness, err error) {
	err = v.pass(ctx, Holding, func(ctx context.Context) error {
		l, err = v.backend.live(ctx, key)
		return err
	})
	if l == nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = append(v.keys, l)
	return viewLiveness{l, v}, err
}

func (v *view) alive(ctx context.Context, key string) (alive bool, err error) {
	err = v.pass(ctx, Asking, func(ctx context.Context) error {
		alive, err = v.backend.alive(ctx, key)
		return err
	})
	return alive, err
}

func (v *view) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var err error
	for _, l := range v.keys {
		err = errors.Join(err, l.Close(context.Background()))
	}
	v.keys = nil
	return err
}

type viewLiveness struct {
	Liveness

	view *view
}

func (l viewLiveness) Beat(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = l.view.pass(ctx, Beating, func(ctx context.Context) error {
		n, err = l.Liveness.Beat(ctx, query, args...)
		return err
	})
	return n, err
}
