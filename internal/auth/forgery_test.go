package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/keyring"
	"gathering/internal/store/storetest"
)

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func document(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// forge makes a token of any header and claims.
func forge(header, claims string, sign func(message string) []byte) string {
	message := segment(header) + "." + segment(claims)
	return message + "." + base64.RawURLEncoding.EncodeToString(sign(message))
}

// trailing is the same bytes in base64, with other bits after them.
func trailing(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, s[len(s)-1])
	return s[:len(s)-1] + digits[last^1:][:1]
}

func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring := keyring.New(noon())
	w := newWorld(t, db, ring, noon)
	ann, bob := w.user("ann@example.com", gathering.RoleAdmin), w.user("bob@example.com", gathering.RoleViewer)
	g, other := w.signIn(ann.Email), w.signIn(bob.Email)

	id, private := ring.SigningKey(keyring.PurposeAccess)
	public, _ := ring.PublicKey(keyring.PurposeAccess, id)
	_, sealing := ring.SigningKey(keyring.PurposeSeal)
	_, strange, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	der, err := x509.MarshalPKIXPublicKey(public)
	w.must(err)
	by := func(key ed25519.PrivateKey) func(string) []byte {
		return func(message string) []byte { return ed25519.Sign(key, []byte(message)) }
	}
	secret := func(key []byte) func(string) []byte {
		return func(message string) []byte {
			mac, err := jwt.SigningMethodHS256.Sign(message, key)
			w.must(err)
			return mac
		}
	}
	nothing := func(string) []byte { return nil }
	good := map[string]any{
		"iss": "gathering", "aud": []string{db.LogID()}, "sub": string(ann.ID), "sid": string(g.Session.ID), "role": "admin", "jti": "x",
		"iat": noon().Unix(), "exp": noon().Add(time.Minute).Unix(),
	}
	but := func(name string, value any) string {
		claims := maps.Clone(good)
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
		return document(claims)
	}
	const alg = `{"alg":"EdDSA","typ":"JWT","kid":"`
	header := alg + id + `"}`
	parts := strings.Split(g.Access, ".")
	theirs := strings.Split(other.Access, ".")
	pad := func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) }
	// What this makes is good, so that what is refused below is so for its own reason.
	w.principal(forge(header, document(good), by(private)))
	w.principal(forge(header, but("role", "viewer"), by(private)))
	w.principal(forge(header, but("iat", noon().Add(time.Hour).Unix()), by(private))) // another clock is ahead
	if p := w.principal(forge(header, document(maps.Collect(maps.All(good))), by(private))); p.Role != gathering.RoleAdmin {
		t.Errorf("the role is %s", p.Role)
	}
	for name, token := range map[string]string{
		"nothing":                 "",
		"dots":                    "..",
		"alg none":                forge(`{"alg":"none"}`, document(good), nothing),
		"alg None with a kid":     forge(`{"alg":"None","kid":"`+id+`"}`, document(good), nothing),
		"alg none, signed":        forge(`{"alg":"none","kid":"`+id+`"}`, document(good), by(private)),
		"alg none and a good MAC": parts[0] + "." + parts[1] + ".",
		"no alg":                  forge(`{"kid":"`+id+`"}`, document(good), by(private)),
		"HS256, public key":       forge(`{"alg":"HS256","kid":"`+id+`"}`, document(good), secret(public)),
		"HS256, public key, DER":  forge(`{"alg":"HS256","kid":"`+id+`"}`, document(good), secret(der)),
		"HS256, public key, PEM":  forge(`{"alg":"HS256","kid":"`+id+`"}`, document(good), secret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"HS256, empty key":        forge(`{"alg":"HS256","kid":"`+id+`"}`, document(good), secret([]byte{})),
		"alg in small letters":    forge(`{"alg":"eddsa","kid":"`+id+`"}`, document(good), by(private)),
		"another alg":             forge(`{"alg":"ES256","kid":"`+id+`"}`, document(good), by(private)),
		"two algs":                forge(`{"alg":"EdDSA","alg":"HS256","kid":"`+id+`"}`, document(good), secret(public)),
		"another kid":             forge(alg+`k00000000"}`, document(good), by(private)),
		"no kid":                  forge(`{"alg":"EdDSA"}`, document(good), by(private)),
		"kid of another type":     forge(`{"alg":"EdDSA","kid":["`+id+`"]}`, document(good), by(private)),
		"two kids":                forge(alg+id+`","kid":"k00000000"}`, document(good), by(private)),
		"kid as a path":           forge(alg+`../keys.json"}`, document(good), by(private)),
		"own key in the header":   forge(alg+id+`","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+base64.RawURLEncoding.EncodeToString(strange.Public().(ed25519.PublicKey))+`"}}`, document(good), by(strange)),
		"a strange key":           forge(header, document(good), by(strange)),
		"the key of the seals":    forge(header, document(good), by(sealing)),
		"header null":             forge(`null`, document(good), by(private)),
		"header no object":        forge(`[]`, document(good), by(private)),
		"header no JSON":          forge(`{`, document(good), by(private)),
		"claims null":             forge(header, `null`, by(private)),
		"claims no object":        forge(header, `[]`, by(private)),
		"claims empty":            forge(header, `{}`, by(private)),
		"another issuer":          forge(header, but("iss", "elsewhere"), by(private)),
		"no issuer":               forge(header, but("iss", nil), by(private)),
		"another database":        forge(header, but("aud", []string{"elsewhere"}), by(private)),
		"no database":             forge(header, but("aud", nil), by(private)),
		"an empty database":       forge(header, but("aud", ""), by(private)),
		"no expiry":               forge(header, but("exp", nil), by(private)),
		"expiry null":             forge(header, strings.Replace(but("exp", 0), `"exp":0`, `"exp":null`, 1), by(private)),
		"expired":                 forge(header, but("exp", noon().Unix()), by(private)),
		"expired twice over":      forge(header, strings.Replace(document(good), `"exp":`, `"exp":4102444800,"exp":1,"x":`, 1), by(private)),
		"not yet":                 forge(header, but("nbf", noon().Add(time.Hour).Unix()), by(private)),
		"another user":            forge(header, but("sub", string(bob.ID)), by(private)),
		"no user":                 forge(header, but("sub", nil), by(private)),
		"another session":         forge(header, but("sid", string(other.Session.ID)), by(private)),
		"no session":              forge(header, but("sid", nil), by(private)),
		"a session that is not":   forge(header, but("sid", "ses_0"), by(private)),
		"a session as a pattern":  forge(header, but("sid", "%"), by(private)),
		"claims of another":       parts[0] + "." + theirs[1] + "." + parts[2],
		"signature of another":    parts[0] + "." + parts[1] + "." + theirs[2],
		"cut short":               g.Access[:len(g.Access)-1],
		"longer":                  g.Access + "A",
		"a fourth part":           g.Access + ".e30",
		"padded":                  pad(parts[0]) + "." + pad(parts[1]) + "." + pad(parts[2]),
		"other trailing bits":     parts[0] + "." + parts[1] + "." + trailing(parts[2]),
		"a blank before":          " " + g.Access,
		"a line after":            g.Access + "\n",
		"the refresh token":       g.Refresh,
		"the refresh token's MAC": "gat_" + strings.TrimPrefix(g.Refresh, "grt_"),
		"far too long":            forge(header, but("jti", strings.Repeat("x", 4<<10)), by(private)),
		"no text":                 "\xff.\xff.\xff",
		"an API token's prefix":   "gat_",
		"an API token with a NUL": "gat_\x00",
	} {
		w.refused(name, token)
		w.refused(name+", again", token)
	}
	w.principal(g.Access)
}

// A key that is on the ring no more, or not yet, is no key.
func TestKeysOfAccessTokens(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring := keyring.New(noon())
	w := newWorld(t, db, ring, noon)
	w.user("ann@example.com", gathering.RoleAdmin)
	g := w.signIn("ann@example.com")
	rotated := newWorld(t, db, ring.Rotated(noon()), noon)
	rotated.principal(g.Access)
	next := rotated.refresh(g.Refresh)
	w.over("by a key that is not there yet", next)
	strange := newWorld(t, db, keyring.New(noon()), noon)
	strange.over("by another ring", next)
	rotated.principal(next.Access)
}

func TestForgedRefreshTokens(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	ring := keyring.New(noon())
	c := newClock()
	w := newWorld(t, db, ring, c.Now)
	u := w.user("ann@example.com", gathering.RoleAdmin)
	g, other := w.signIn(u.Email), w.signIn(u.Email)
	elsewhere := newWorld(t, storetest.Open(t, storetest.SQLite(t)), ring, noon) // with the same ring
	elsewhere.user(u.Email, gathering.RoleAdmin)
	strange := elsewhere.signIn(u.Email)

	body, mac := g.Refresh[4:strings.LastIndexByte(g.Refresh, '.')], g.Refresh[strings.LastIndexByte(g.Refresh, '.')+1:]
	theirs := other.Refresh[strings.LastIndexByte(other.Refresh, '.')+1:]
	session := string(g.Session.ID)
	if body != session+".1" {
		t.Fatalf("a refresh token is %q", g.Refresh)
	}
	signed := func(purpose, message, body string) string {
		return "grt_" + body + "." + base64.RawURLEncoding.EncodeToString(ring.MAC(purpose, message))
	}
	c.pass(time.Minute)
	for name, token := range map[string]string{
		"nothing":                "",
		"the prefix":             "grt_",
		"no parts":               "grt_x",
		"no MAC":                 "grt_" + body,
		"an empty MAC":           "grt_" + body + ".",
		"another prefix":         "gat_" + g.Refresh[4:],
		"no prefix":              g.Refresh[4:],
		"a large prefix":         "GRT_" + g.Refresh[4:],
		"the next generation":    "grt_" + session + ".2." + mac,
		"one before":             "grt_" + session + ".0." + mac,
		"a negative one":         "grt_" + session + ".-1." + mac,
		"written differently":    "grt_" + session + ".01." + mac,
		"with a sign":            "grt_" + session + ".+1." + mac,
		"out of range":           "grt_" + session + ".9223372036854775808." + mac,
		"another session":        "grt_" + string(other.Session.ID) + ".1." + mac,
		"another MAC":            "grt_" + body + "." + theirs,
		"a part of a MAC":        "grt_" + body + "." + mac[:len(mac)/2],
		"a longer MAC":           g.Refresh + "AAAA",
		"padded":                 g.Refresh + "=",
		"other trailing bits":    trailing(g.Refresh),
		"no base64":              "grt_" + body + ".!",
		"a line in the MAC":      "grt_" + body + "." + mac[:10] + "\n" + mac[10:],
		"for another purpose":    signed(keyring.PurposeAccess, db.LogID()+"."+body, body),
		"for no database":        signed(keyring.PurposeRefresh, body, body),
		"of another database":    strange.Refresh,
		"for another database":   signed(keyring.PurposeRefresh, elsewhere.db.LogID()+"."+body, body),
		"the set-up code":        "grt_" + db.LogID() + "." + w.SetupCode(),
		"an access token":        g.Access,
		"an access token inside": "grt_" + g.Access,
		"far too long":           "grt_" + strings.Repeat("x", 1<<20) + "." + mac,
		"no text":                "grt_\xff\x00." + mac,
	} {
		got, err := w.Refresh(w.ctx(), token)
		wantKind(t, name, err, gathering.KindUnauthenticated)
		if got.Access != "" || got.Refresh != "" {
			t.Errorf("%s: tokens are given", name)
		}
	}
	// None of that is taken for a use of the real one.
	w.refresh(g.Refresh)
	w.refresh(other.Refresh)
	var tokens []auth.Grant
	for range 3 {
		tokens = append(tokens, w.signIn(u.Email))
	}
	if tokens[0].Refresh == tokens[1].Refresh || tokens[1].Refresh == tokens[2].Refresh {
		t.Error("two sessions have one refresh token")
	}
}
