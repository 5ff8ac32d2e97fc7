package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gathering"
	"gathering/internal/codec"
)

// secretBytes is the length of a root key.
const secretBytes = 32

// Ring is the root keys. It does not change.
type Ring struct {
	keys []key // the last is the current one
}

type key struct {
	id      string
	created time.Time
	secret  []byte
}

// New returns a ring of one fresh key.
func New(now time.Time) *Ring {
	return &Ring{keys: []key{newKey(now)}}
}

func newKey(now time.Time) key {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // it never fails: it ends the process instead
	return key{id: "k" + strings.ToLower(rand.Text()[:8]), created: now.UTC().Truncate(time.Second), secret: secret}
}

// Rotated returns a ring with a fresh key as the current one.
func (r *Ring) Rotated(now time.Time) *Ring {
	return &Ring{keys: append(slices.Clone(r.keys), newKey(now))}
}

// Current is the ID of the current key.
func (r *Ring) Current() string { return r.last().id }

func (r *Ring) last() key { return r.keys[len(r.keys)-1] }

func (r *Ring) find(id string) (key, bool) {
	i := slices.IndexFunc(r.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return key{}, false
	}
	return r.keys[i], true
}

// Purposes for which keys are derived.
const (
	PurposeAccess  = "access token"
	PurposeRefresh = "refresh token"
	PurposeSetup   = "set-up link"
	PurposeSeal    = "audit seal"
	PurposeSecret  = "stored secret"
	purposeCheck   = "key check"
)

func (k key) derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "gathering "+purpose, secretBytes)
	if err != nil {
		panic(err) // the length is a constant that HKDF allows
	}
	return derived
}

// Encrypt returns text as only the ring can read it. Bound is what the text
// belongs to, such as the ID of its row: it can be read in that place alone.
func (r *Ring) Encrypt(purpose string, text []byte, bound string) []byte {
	k := r.last()
	aead := k.aead(purpose)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails: it ends the process instead
	stored := slices.Concat([]byte{codec.Encrypted}, []byte(k.id), []byte{':'}, nonce)
	return aead.Seal(stored, nonce, text, []byte(bound))
}

// Decrypt is the reverse of [Ring.Encrypt]. The error says whether a key is
// missing or what was stored is damaged, and nothing of the text.
func (r *Ring) Decrypt(purpose string, stored []byte, bound string) ([]byte, error) {
	rest, encrypted := bytes.CutPrefix(stored, []byte{codec.Encrypted})
	id, sealed, named := bytes.Cut(rest, []byte{':'})
	if !encrypted || !named || !validID.Match(id) {
		return nil, fmt.Errorf("decrypt: this is nothing that was encrypted")
	}
	k, ok := r.find(string(id))
	if !ok {
		return nil, missing(string(id))
	}
	aead := k.aead(purpose)
	if len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("decrypt with key %s: it is cut short", id)
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(bound))
	if err != nil {
		return nil, fmt.Errorf("decrypt with key %s: it was changed, or belongs elsewhere: %w", id, err)
	}
	return text, nil
}

func (k key) aead(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(k.derive(purpose))
	if err != nil {
		panic(err) // the length is a constant that AES allows
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block size that GCM wants
	}
	return aead
}

// SigningKey returns the current key for a purpose and its ID.
func (r *Ring) SigningKey(purpose string) (id string, private ed25519.PrivateKey) {
	k := r.last()
	return k.id, ed25519.NewKeyFromSeed(k.derive(purpose))
}

// PublicKey returns what verifies signatures for a purpose by the key of an ID.
// False is a key that the ring does not have.
func (r *Ring) PublicKey(purpose, id string) (ed25519.PublicKey, bool) {
	k, ok := r.find(id)
	if !ok {
		return nil, false
	}
	public, ok := ed25519.NewKeyFromSeed(k.derive(purpose)).Public().(ed25519.PublicKey)
	return public, ok
}

// MAC authenticates a message by the current key.
func (r *Ring) MAC(purpose, message string) []byte { return r.last().mac(purpose, message) }

// CheckMAC reports whether any key of the ring made the MAC of the message. It
// takes the same time for any wrong one.
func (r *Ring) CheckMAC(purpose, message string, mac []byte) bool {
	good := false
	for _, k := range r.keys {
		if hmac.Equal(k.mac(purpose, message), mac) {
			good = true
		}
	}
	return good
}

func (k key) mac(purpose, message string) []byte {
	h := hmac.New(sha256.New, k.derive(purpose))
	h.Write([]byte(message))
	return h.Sum(nil)
}

func missing(id string) error {
	return gathering.NewError(gathering.KindConflict, "key %s is missing: it is in the keys.json of the data directory in which the database was used first, or in its backup", id)
}

var validID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,32}$`)

// check refuses a key that somebody could guess.
func (k key) check() error {
	if !validID.MatchString(k.id) {
		return fmt.Errorf("the ID of a key must be 1 to 32 letters, digits, - or _")
	}
	distinct := make(map[byte]bool)
	for _, b := range k.secret {
		distinct[b] = true
	}
	// Of 32 random bytes fewer than 20 are distinct less than once in 10^12 times.
	if len(k.secret) < secretBytes || len(distinct) < 20 {
		return fmt.Errorf("key %s is weak: it must be %d random bytes in base64, as `head -c 32 /dev/urandom | base64` makes them", k.id, secretBytes)
	}
	return nil
}
