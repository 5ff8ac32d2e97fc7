package keyring_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/keyring"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// secret is 32 bytes that look random, as [keyring.Parse] reads them.
func secret(first byte) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = first + byte(i)*7
	}
	return base64.StdEncoding.EncodeToString(b)
}

func parse(t *testing.T, text string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kind(t *testing.T, err error, want gathering.Kind) {
	t.Helper()
	if got := gathering.KindOf(err); got != want {
		t.Errorf("got kind %q (%v), want %q", got, err, want)
	}
}

func TestEncrypt(t *testing.T) {
	t.Parallel()
	old := keyring.New(noon())
	ring := old.Rotated(noon())
	const bound = "prv_1"
	for name, text := range map[string][]byte{
		"nothing": nil, "a word": []byte("sk-live-1"), "binary": {0, 1, ':', 2, 0xff}, "long": bytes.Repeat([]byte("x"), 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for made, from := range map[string]*keyring.Ring{"before the rotation": old, "after it": ring} {
				stored := from.Encrypt(keyring.PurposeSecret, text, bound)
				if again := from.Encrypt(keyring.PurposeSecret, text, bound); bytes.Equal(stored, again) {
					t.Errorf("made %s: twice the same bytes", made)
				}
				if len(text) > 0 && bytes.Contains(stored, text) {
					t.Errorf("made %s: the text is in what is stored", made)
				}
				if _, err := codec.Decode(stored); err == nil {
					t.Errorf("made %s: it is taken for a document that is not encrypted", made)
				}
				got, err := ring.Decrypt(keyring.PurposeSecret, stored, bound)
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("made %s: got %d bytes and %v, want %d bytes", made, len(got), err, len(text))
				}
			}
		})
	}
}

func TestDecryptRefuses(t *testing.T) {
	t.Parallel()
	const text = "the text that nobody may see"
	ring := keyring.New(noon())
	stored := ring.Encrypt(keyring.PurposeSecret, []byte(text), "prv_1")
	changed := func(at int) []byte {
		c := bytes.Clone(stored)
		c[at] ^= 1
		return c
	}
	another := append([]byte{codec.Encrypted, 'X'}, stored[2:]...)
	tests := []struct {
		name           string
		ring           *keyring.Ring
		purpose, bound string
		stored         []byte
		want           gathering.Kind
	}{
		{"bound elsewhere", ring, keyring.PurposeSecret, "prv_2", stored, gathering.KindInternal},
		{"another purpose", ring, keyring.PurposeAccess, "prv_1", stored, gathering.KindInternal},
		{"a lost key", keyring.New(noon()), keyring.PurposeSecret, "prv_1", stored, gathering.KindConflict},
		{"another key of the same ID", parse(t, ring.Current()+":"+secret(1)), keyring.PurposeSecret, "prv_1", stored, gathering.KindInternal},
		{"a changed text", ring, keyring.PurposeSecret, "prv_1", changed(len(stored) - 20), gathering.KindInternal},
		{"a changed nonce", ring, keyring.PurposeSecret, "prv_1", changed(len(ring.Current()) + 3), gathering.KindInternal},
		{"a changed ID", ring, keyring.PurposeSecret, "prv_1", another, gathering.KindConflict},
		{"not encrypted", ring, keyring.PurposeSecret, "prv_1", codec.Encode([]byte(text)), gathering.KindInternal},
		{"nothing", ring, keyring.PurposeSecret, "prv_1", nil, gathering.KindInternal},
		{"an ID that is none", ring, keyring.PurposeSecret, "prv_1", append([]byte{codec.Encrypted}, "\x00\xff:more"...), gathering.KindInternal},
		{"something added", ring, keyring.PurposeSecret, "prv_1", append(bytes.Clone(stored), 0), gathering.KindInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.ring.Decrypt(test.purpose, test.stored, test.bound)
			if err == nil {
				t.Fatalf("got %q", got)
			}
			kind(t, err, test.want)
			if strings.Contains(err.Error(), text) {
				t.Errorf("the error holds the text: %v", err)
			}
		})
	}
	_, err := keyring.New(noon()).Decrypt(keyring.PurposeSecret, stored, "prv_1")
	if !strings.Contains(err.Error(), ring.Current()) || !strings.Contains(err.Error(), keyring.File) {
		t.Errorf("the error does not say which key is missing and where it would be: %v", err)
	}
}

// Whatever is stored, decrypting it ends in an error: at every length, and with
// every byte after the header.
func TestDecryptAnything(t *testing.T) {
	t.Parallel()
	ring := keyring.New(noon())
	stored := ring.Encrypt(keyring.PurposeSecret, []byte("text"), "")
	for n := range stored {
		if _, err := ring.Decrypt(keyring.PurposeSecret, stored[:n], ""); err == nil {
			t.Errorf("%d of its %d bytes were decrypted", n, len(stored))
		}
	}
	for second := range 256 {
		long := append([]byte{codec.Encrypted, byte(second)}, bytes.Repeat([]byte("k"), 300)...)
		if _, err := ring.Decrypt(keyring.PurposeSecret, long, ""); err == nil {
			t.Errorf("%#x after the header was decrypted", second)
		}
	}
}

func TestSigning(t *testing.T) {
	t.Parallel()
	old := keyring.New(noon())
	ring := old.Rotated(noon())
	message := []byte("a seal")
	id, private := old.SigningKey(keyring.PurposeSeal)
	if got, want := id, old.Current(); got != want {
		t.Errorf("the signing key is %s, want %s", got, want)
	}
	if newID, _ := ring.SigningKey(keyring.PurposeSeal); newID == id || newID != ring.Current() {
		t.Errorf("after the rotation %s signs, want the fresh key", newID)
	}
	public, ok := ring.PublicKey(keyring.PurposeSeal, id)
	if !ok || !ed25519.Verify(public, message, ed25519.Sign(private, message)) {
		t.Errorf("the rotated ring does not verify what was signed before")
	}
	if other, _ := ring.PublicKey(keyring.PurposeAccess, id); other.Equal(public) {
		t.Error("two purposes have the same key")
	}
	if _, ok := old.PublicKey(keyring.PurposeSeal, ring.Current()); ok {
		t.Error("a ring has a key that it never had")
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	old := keyring.New(noon())
	ring := old.Rotated(noon())
	mac := old.MAC(keyring.PurposeRefresh, "token")
	tests := []struct {
		name             string
		ring             *keyring.Ring
		purpose, message string
		mac              []byte
		want             bool
	}{
		{"its own", old, keyring.PurposeRefresh, "token", mac, true},
		{"after a rotation", ring, keyring.PurposeRefresh, "token", mac, true},
		{"of the fresh key", ring, keyring.PurposeRefresh, "token", ring.MAC(keyring.PurposeRefresh, "token"), true},
		{"of a key that came later", old, keyring.PurposeRefresh, "token", ring.MAC(keyring.PurposeRefresh, "token"), false},
		{"another ring's", keyring.New(noon()), keyring.PurposeRefresh, "token", mac, false},
		{"another purpose", ring, keyring.PurposeSetup, "token", mac, false},
		{"another message", ring, keyring.PurposeRefresh, "token2", mac, false},
		{"cut", ring, keyring.PurposeRefresh, "token", mac[:16], false},
		{"none", ring, keyring.PurposeRefresh, "token", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.ring.CheckMAC(test.purpose, test.message, test.mac); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A ring does not change: of two rotations of one neither has the other's key.
func TestRotatedTwice(t *testing.T) {
	t.Parallel()
	ring := keyring.New(noon()).Rotated(noon()).Rotated(noon())
	a, b := ring.Rotated(noon()), ring.Rotated(noon())
	if a.Current() == b.Current() || ring.Current() == a.Current() {
		t.Errorf("the current keys are %s, %s and, before, %s", a.Current(), b.Current(), ring.Current())
	}
	if _, ok := a.PublicKey(keyring.PurposeSeal, a.Current()); !ok {
		t.Error("a ring lost its current key to another's rotation")
	}
}
