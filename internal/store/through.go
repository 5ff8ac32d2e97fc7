package store

import (
	"context"
	"errors"
	"maps"
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
	Key  string // of liveness, where it is about one
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
	Leaving                   // letting a key go
)

// Through is the database as somebody sees it who reaches it by way of the gate
// alone. Tests have several instances on one SQLite database so, each with its
// own trouble. Closing it leaves the database open and lets go of the keys of
// liveness that were taken through it, as the end of a process does. So does
// cut, as the end of a connection does: the next beat takes the key again.
func (db *DB) Through(gate Gate) (through *DB, cut func()) {
	v := &view{backend: db.backend, gate: gate, keys: make(map[*viewLiveness]Liveness)}
	return &DB{dialect: db.dialect, backend: v, logID: db.logID, readOnly: db.readOnly}, func() { _ = v.close() }
}

// Exclusive reports whether no other instance than this process can use the
// database: it holds the lock of its directory.
func (db *DB) Exclusive() bool { return db.directory != nil }

// ReadOnly reports whether the database is open for reading alone.
func (db *DB) ReadOnly() bool { return db.readOnly }

// view is a backend behind a gate.
type view struct {
	backend

	gate Gate
	mu   sync.Mutex
	keys map[*viewLiveness]Liveness // that are held
}

// pass asks the gate for one access.
func (v *view) pass(ctx context.Context, a Access, do func(ctx context.Context) error) error {
	a.Do = func() error { return do(context.WithoutCancel(ctx)) }
	return v.gate(ctx, a)
}

func (v *view) tx(ctx context.Context, fn func(tx *Tx) error) error {
	return v.commit(ctx, Access{Kind: Writing}, func() error { return v.backend.tx(context.WithoutCancel(ctx), fn) })
}

func (v *view) run(ctx context.Context, b *Batch) error {
	lasting, unheard := context.WithoutCancel(ctx), b.unheard()
	return v.commit(ctx, Access{
		Kind: Writing, Straggle: func() error { return v.backend.run(lasting, unheard) },
	}, func() error { return v.backend.run(lasting, b) })
}

func (v *view) commit(ctx context.Context, a Access, do func() error) error {
	return commitThrough(ctx, func(ctx context.Context, do func() error) error {
		a.Do = do
		return v.gate(ctx, a)
	}, do)
}

// unheard is the batch with nobody to hear its answers.
func (b *Batch) unheard() *Batch {
	u := &Batch{statements: slices.Clone(b.statements)}
	for i := range u.statements {
		if s := &u.statements[i]; s.scan != nil {
			s.scan = func(Scanner) error { return nil }
		}
		if s := &u.statements[i]; s.guard != nil {
			deaf := *s.guard
			deaf.Verdicts = func([]int64, int64) {}
			s.guard = &deaf
		}
	}
	return u
}

func (v *view) reader() session { return viewReader{v} }

type viewReader struct{ view *view }

func (r viewReader) exec(ctx context.Context, query string, args []any) (n int64, err error) {
	err = r.view.pass(ctx, Access{Kind: Writing}, func(ctx context.Context) error {
		n, err = r.view.backend.reader().exec(ctx, query, args)
		return err
	})
	return n, err
}

func (r viewReader) query(ctx context.Context, query string, args []any) (rows *Rows, err error) {
	err = r.view.pass(ctx, Access{Kind: Reading}, func(ctx context.Context) error {
		rows, err = r.view.backend.reader().query(ctx, query, args)
		return err
	})
	if err != nil && rows != nil { // the answer is lost
		rows.named = func(err error) error { return err }
		_ = rows.Close()
		rows = nil
	}
	return rows, err
}

func (v *view) live(ctx context.Context, key string) (Liveness, error) {
	l := &viewLiveness{view: v, key: key}
	err := v.pass(ctx, Access{Kind: Holding, Key: key}, func(ctx context.Context) error {
		_, err := l.take(ctx)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, v.forget(l))
	}
	return l, nil
}

func (v *view) alive(ctx context.Context, key string) (alive bool, err error) {
	err = v.pass(ctx, Access{Kind: Asking, Key: key}, func(ctx context.Context) error {
		alive, err = v.backend.alive(ctx, key)
		return err
	})
	return alive, err
}

func (v *view) close() error {
	v.mu.Lock()
	keys := slices.Collect(maps.Keys(v.keys))
	v.mu.Unlock()
	var err error
	for _, l := range keys {
		err = errors.Join(err, v.forget(l))
	}
	return err
}

// forget lets a key go.
func (v *view) forget(l *viewLiveness) error {
	v.mu.Lock()
	held := v.keys[l]
	delete(v.keys, l)
	v.mu.Unlock()
	if held == nil {
		return nil
	}
	return held.Close(context.Background())
}

// viewLiveness is a key that was taken through a view.
type viewLiveness struct {
	view *view
	key  string
}

// take is the key as it is held, taken anew where it was lost.
func (l *viewLiveness) take(ctx context.Context) (Liveness, error) {
	l.view.mu.Lock()
	defer l.view.mu.Unlock()
	if held := l.view.keys[l]; held != nil {
		return held, nil
	}
	held, err := l.view.backend.live(ctx, l.key)
	if err == nil {
		l.view.keys[l] = held
	}
	return held, err
}

func (l *viewLiveness) Beat(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = l.view.pass(ctx, Access{Kind: Beating, Key: l.key}, func(ctx context.Context) error {
		held, err := l.take(ctx)
		if err == nil {
			n, err = held.Beat(ctx, query, args...)
		}
		return err
	})
	return n, err
}

func (l *viewLiveness) Close(ctx context.Context) error {
	return l.view.pass(ctx, Access{Kind: Leaving, Key: l.key}, func(context.Context) error { return l.view.forget(l) })
}
