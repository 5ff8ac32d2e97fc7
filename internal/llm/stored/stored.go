// Package stored keeps model providers that somebody stored: their addresses,
// and their keys, encrypted.
package stored

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/keyring"
	"gathering/internal/llm"
	"gathering/internal/llm/provider"
	"gathering/internal/once"
	"gathering/internal/store"
)

// Store keeps providers, and has models use them.
type Store struct {
	DB     *store.DB
	Ring   *keyring.Ring
	Models *llm.Models
	Lookup provider.Lookup
	Now    func() time.Time
	Logger *slog.Logger

	loading sync.Mutex
	loaded  string // what the rows were when they were loaded
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// New says what a new provider is. What is empty is as it is of the provider
// that is known by the name.
type New struct {
	Name, Format, BaseURL, Key string
}

// Update says what changes; nil leaves it as it is.
type Update struct {
	BaseURL  *string
	Key      *string // "" takes the key away
	Revision int64   // the one that is changed; 0 is any
}

// compatible is how callers name the format of servers that speak OpenAI's.
const compatible = "compatible"

// build returns what models are asked by.
func (s *Store) build(p gathering.Provider, key string) (*provider.Provider, error) {
	format := provider.Format(p.Format)
	switch p.Format {
	case compatible, "":
		format = provider.FormatCompatible
	case string(provider.FormatOpenAI), string(provider.FormatAnthropic), string(provider.FormatGoogle):
	default:
		return nil, fault("format", "must be openai, anthropic, google or compatible")
	}
	return provider.FromStored(s.Lookup, provider.Stored{Name: p.Name, Format: format, BaseURL: p.BaseURL, Key: key})
}

func fault(field, problem string) error {
	return gathering.NewError(gathering.KindInvalid, "%s %s", field, problem).
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

func (s *Store) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Create stores a provider. A name that another one has is a conflict.
func (s *Store) Create(ctx context.Context, n New) (gathering.Provider, error) {
	now := s.now()
	p := gathering.Provider{
		ID: gathering.NewProviderID(now), Name: n.Name, Format: n.Format, BaseURL: n.BaseURL, HasKey: n.Key != "", Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	built, err := s.build(p, n.Key)
	if err != nil {
		return p, err
	}
	p.BaseURL, p.Format = built.BaseURL(), built.Format()
	p, err = once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Provider, error) {
		made, err := tx.Exec(ctx, `INSERT INTO providers (id, name, kind, base_url, secret, seq, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (name) DO NOTHING`,
			string(p.ID), p.Name, p.Format, p.BaseURL, s.secret(p.ID, n.Key), now.UnixMicro())
		if err == nil && made == 0 {
			err = gathering.NewError(gathering.KindConflict, "there is a provider %s already", p.Name)
		}
		if err != nil {
			return p, err
		}
		return p, tell(ctx, tx, gathering.EventProviderCreated, p)
	})
	if err != nil {
		return p, fmt.Errorf("create provider: %w", err)
	}
	return p, s.Load(ctx)
}

// secret is the form in which a key is stored; nil is none.
func (s *Store) secret(id gathering.ProviderID, key string) []byte {
	if key == "" {
		return nil
	}
	return s.Ring.Encrypt(keyring.PurposeSecret, []byte(key), string(id))
}

func tell(ctx context.Context, tx *store.Tx, kind gathering.EventType, p gathering.Provider) error {
	c, _ := audit.CallerOf(ctx)
	return audit.Tell(ctx, tx, gathering.Event{Stream: string(p.ID), Seq: p.Revision, Type: kind, At: p.UpdatedAt},
		gathering.ProviderChangedData{Name: p.Name, BaseURL: p.BaseURL, HasKey: p.HasKey, By: c.Name}, gathering.AuditEntry{Reason: p.Name})
}

const columns = `id, name, kind, base_url, secret, seq, created_at, updated_at`

func scan(row store.Scanner) (p gathering.Provider, secret []byte, err error) {
	var created, updated int64
	err = row.Scan(&p.ID, &p.Name, &p.Format, &p.BaseURL, &secret, &p.Revision, &created, &updated)
	p.HasKey = len(secret) > 0
	p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return p, secret, err
}

func read(ctx context.Context, q store.Querier, id gathering.ProviderID, clause string) (gathering.Provider, []byte, error) {
	p, secret, err := scan(q.QueryRow(ctx, `SELECT `+columns+` FROM providers WHERE id = $1`+clause, string(id)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return p, nil, gathering.NewError(gathering.KindNotFound, "there is no provider %s", id)
	case err != nil:
		return p, nil, fmt.Errorf("read provider: %w", err)
	}
	return p, secret, nil
}

// Any reports whether there are stored providers.
func Any(ctx context.Context, q store.Querier) (bool, error) {
	var n int
	if err := q.QueryRow(ctx, `SELECT count(*) FROM providers`).Scan(&n); err != nil {
		return false, fmt.Errorf("count providers: %w", err)
	}
	return n > 0, nil
}

// Provider returns a stored provider, or an error of kind not_found.
func (s *Store) Provider(ctx context.Context, id gathering.ProviderID) (gathering.Provider, error) {
	p, _, err := read(ctx, s.DB.Read(), id, "")
	return p, err
}

// Providers returns stored providers after one, at most limit of them.
func (s *Store) Providers(ctx context.Context, after gathering.ProviderID, limit int) ([]gathering.Provider, error) {
	providers, _, err := list(ctx, s.DB.Read(), after, limit)
	return providers, err
}

func list(ctx context.Context, q store.Querier, after gathering.ProviderID, limit int) ([]gathering.Provider, [][]byte, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM providers WHERE id > $1 ORDER BY id LIMIT $2`, string(after), limit)
	if err != nil {
		return nil, nil, fmt.Errorf("list providers: %w", err)
	}
	var (
		providers []gathering.Provider
		secrets   [][]byte
	)
	err = rows.Each(func(row store.Scanner) error {
		p, secret, err := scan(row)
		providers, secrets = append(providers, p), append(secrets, secret)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list providers: %w", err)
	}
	return providers, secrets, nil
}

// Update changes a provider.
func (s *Store) Update(ctx context.Context, id gathering.ProviderID, c Update) (gathering.Provider, error) {
	p, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.Provider, error) {
		p, secret, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return p, err
		}
		if c.Revision != 0 && c.Revision != p.Revision {
			return p, gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").
				WithCode(gathering.CodePrecondition)
		}
		if c.BaseURL != nil {
			p.BaseURL = *c.BaseURL
		}
		if c.Key != nil {
			secret, p.HasKey = s.secret(id, *c.Key), *c.Key != ""
		} else if c.BaseURL != nil && p.HasKey {
			return p, fault("key", "must be given with another address: a key goes to the address that it was given for alone")
		}
		if _, err := s.build(p, ""); err != nil {
			return p, err
		}
		p.Revision++
		p.UpdatedAt = s.now()
		if _, err := tx.Exec(ctx, `UPDATE providers SET base_url = $2, secret = $3, seq = $4, updated_at = $5 WHERE id = $1`,
			string(id), p.BaseURL, secret, p.Revision, p.UpdatedAt.UnixMicro()); err != nil {
			return p, err
		}
		return p, tell(ctx, tx, gathering.EventProviderUpdated, p)
	})
	if err != nil {
		return p, fmt.Errorf("change provider: %w", err)
	}
	return p, s.Load(ctx)
}

// Delete deletes a provider. One of its name from the environment takes its
// place again.
func (s *Store) Delete(ctx context.Context, id gathering.ProviderID, revision int64) error {
	_, err := once.Do(ctx, s.DB, func(tx *store.Tx) (gathering.ProviderID, error) {
		p, _, err := read(ctx, tx, id, tx.Dialect().ForUpdate())
		if err != nil {
			return id, err
		}
		if revision != 0 && revision != p.Revision {
			return id, gathering.NewError(gathering.KindConflict, "it was changed by somebody else meanwhile: read it again").
				WithCode(gathering.CodePrecondition)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM providers WHERE id = $1`, string(id)); err != nil {
			return id, err
		}
		p.Revision++
		p.UpdatedAt = s.now()
		return id, tell(ctx, tx, gathering.EventProviderDeleted, p)
	})
	if err != nil {
		return fmt.Errorf("delete provider: %w", err)
	}
	return s.Load(ctx)
}

// maxProviders bounds how many stored providers are used.
const maxProviders = 200

// Load has models use the providers as they are stored. One that cannot be
// used, as its key was encrypted by one that is missing, is logged and left out.
func (s *Store) Load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	providers, secrets, err := list(ctx, s.DB.Read(), "", maxProviders)
	if err != nil {
		return err
	}
	state := fmt.Sprint(providers)
	if state == s.loaded {
		return nil
	}
	var built []llm.Provider
	for i, p := range providers {
		one, err := s.usable(p, secrets[i])
		if err != nil {
			s.Logger.ErrorContext(ctx, "a stored provider of models cannot be used", slog.String("provider", p.Name), slog.String("error", err.Error()))
			continue
		}
		built = append(built, one)
	}
	s.Models.SetStored(built...)
	s.loaded = state
	return nil
}

func (s *Store) usable(p gathering.Provider, secret []byte) (*provider.Provider, error) {
	var key []byte
	if len(secret) > 0 {
		var err error
		if key, err = s.Ring.Decrypt(keyring.PurposeSecret, secret, string(p.ID)); err != nil {
			return nil, err
		}
	}
	return s.build(p, string(key))
}

// loadPause is how soon a change that another instance made is used here.
const loadPause = 2 * time.Second

// Start begins to look for what other instances changed. Stop it.
func (s *Store) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.ended.Go(func() {
		tick := time.NewTicker(loadPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := s.Load(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "stored providers of models were not read", slog.String("error", err.Error()))
			}
		}
	})
}

// Stop ends what Start began.
func (s *Store) Stop() {
	if s.stop != nil {
		s.stop()
		s.ended.Wait()
	}
}
