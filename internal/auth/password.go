package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/ccojocar/zxcvbn-go"
	"golang.org/x/text/unicode/norm"

	"gathering"
)

// Cost is what it takes to check one password. The zero value of a field is the
// default, as RFC 9106 recommends where memory is not plenty (section 4).
type Cost struct {
	Memory      uint32 // KiB; 65536
	Iterations  uint32 // 3
	Parallelism uint8  // 4
}

func (c Cost) params() *argon2id.Params {
	p := &argon2id.Params{Memory: 64 << 10, Iterations: 3, Parallelism: 4, SaltLength: 16, KeyLength: 32}
	if c.Memory > 0 {
		p.Memory = c.Memory
	}
	if c.Iterations > 0 {
		p.Iterations = c.Iterations
	}
	if c.Parallelism > 0 {
		p.Parallelism = c.Parallelism
	}
	return p
}

// Bounds of a password.
const (
	MinPassword = 12  // characters
	MaxPassword = 256 // bytes
	// minEntropy is the least that guessing a password must take, in bits, of
	// somebody who knows the usual words, names, dates and patterns.
	minEntropy = 28
	// maxRated is how much of a password is rated, in bytes. Rating long ones
	// takes long.
	maxRated = 40
)

// hasher checks passwords, a few at a time: each takes memory and time on
// purpose, and many at once would be an attack.
type hasher struct {
	params *argon2id.Params
	dummy  func() (string, error) // a hash that no password has, made when it is needed first
	slots  chan struct{}
	queue  chan struct{} // those in a slot or waiting for one
}

const (
	hashersAtOnce = 2
	maxQueue      = 64 // who comes then is sent away
)

func newHasher(c Cost) *hasher {
	h := &hasher{params: c.params(), slots: make(chan struct{}, hashersAtOnce), queue: make(chan struct{}, maxQueue)}
	h.dummy = sync.OnceValues(func() (string, error) { return argon2id.CreateHash("", h.params) })
	return h
}

// slot waits for the turn to check a password. Call leave afterwards.
func (h *hasher) slot(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, gathering.Delayed(gathering.NewError(gathering.KindUnavailable, "too many are signing in at the moment"), time.Second)
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, ctx.Err()
	}
}

func normalPassword(password string) string { return norm.NFKC.String(password) }

// hash returns the form in which a password is stored.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return argon2id.CreateHash(normalPassword(password), h.params)
}

// check reports whether a password is the stored one, and whether it should be
// stored anew because checking it should cost something else by now. "" is
// nobody's hash: nothing matches it, after the same time. Whoever calls it has
// a slot.
func (h *hasher) check(password, stored string) (matches, stale bool, err error) {
	if len(password) > MaxPassword {
		password, stored = "", ""
	}
	// Made for everybody, so that the first one to be nobody does not take longer.
	dummy, err := h.dummy()
	if err != nil {
		return false, false, fmt.Errorf("check a password: %w", err)
	}
	nobody := stored == ""
	if nobody {
		stored = dummy
	}
	matches, params, err := argon2id.CheckHash(normalPassword(password), stored)
	if err != nil {
		return false, false, fmt.Errorf("check a password: %w", err)
	}
	return matches && !nobody, *params != *h.params, nil
}

// checkPassword refuses a password that is easily guessed by somebody who knows
// whose it is. What counts is the form in which it is stored: other characters
// for the same letters make none better.
func checkPassword(field, password string, about ...string) error {
	normal := normalPassword(password[:min(len(password), MaxPassword)])
	var problem string
	switch {
	case len(password) > MaxPassword:
		problem = fmt.Sprintf("must have at most %d bytes", MaxPassword)
	case !utf8.ValidString(password):
		problem = "must be text in UTF-8"
	case utf8.RuneCountInString(normal) < MinPassword:
		problem = fmt.Sprintf("must have at least %d characters", MinPassword)
	case entropy(normal, about) < minEntropy:
		problem = "is too easy to guess: use a few words that do not belong together"
	default:
		return nil
	}
	return gathering.NewError(gathering.KindInvalid, "the password cannot be used").
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

// entropy is how hard it is to guess a password, in bits, for somebody who
// knows the words in what is told about its owner.
func entropy(password string, about []string) float64 {
	rated := strings.ToValidUTF8(password[:min(len(password), maxRated)], "")
	words := strings.FieldsFunc(strings.Join(about, " "), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return zxcvbn.PasswordStrength(rated, slices.Concat(about, words)).Entropy
}
