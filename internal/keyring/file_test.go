package keyring_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/keyring"
)

// inside is the names within a directory.
func inside(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func open(t *testing.T, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(dir, noon())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reads holds that a ring reads what another one wrote.
func reads(t *testing.T, reader, writer *keyring.Ring) {
	t.Helper()
	got, err := reader.Decrypt(keyring.PurposeSecret, writer.Encrypt(keyring.PurposeSecret, []byte("text"), "here"), "here")
	if err != nil || string(got) != "text" {
		t.Errorf("got %q and %v, want the text", got, err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, keyring.File): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has the mode %o, want %o", path, got, want)
		}
	}
	again := open(t, dir)
	if again.Current() != first.Current() {
		t.Errorf("opened again, the current key is %s, want %s", again.Current(), first.Current())
	}
	reads(t, again, first)

	rotated := first.Rotated(noon())
	if err := rotated.Replace(dir); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir)
	if got, want := after.Current(), rotated.Current(); got != want {
		t.Errorf("after the rotation the current key is %s, want %s", got, want)
	}
	reads(t, after, first)
	reads(t, after, rotated)
	if diff := cmp.Diff([]string{keyring.File}, inside(t, dir)); diff != "" {
		t.Errorf("in the directory (-want +got):\n%s", diff)
	}
}

// Whoever opens a directory at the same time gets the one ring that is kept.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := filepath.Join(t.TempDir(), "data")
		rings := make([]*keyring.Ring, 32)
		errs := make([]error, len(rings))
		begin := make(chan struct{})
		var all sync.WaitGroup
		for i := range rings {
			all.Go(func() {
				<-begin
				rings[i], errs[i] = keyring.Open(dir, noon())
			})
		}
		close(begin)
		all.Wait()
		kept := open(t, dir)
		for i, r := range rings {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			if r.Current() != kept.Current() {
				t.Fatalf("one got the key %s, and %s is kept", r.Current(), kept.Current())
			}
			reads(t, kept, r)
		}
		if diff := cmp.Diff([]string{keyring.File}, inside(t, dir)); diff != "" {
			t.Fatalf("in the directory (-want +got):\n%s", diff)
		}
	}
}

func TestReplaceAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ring := open(t, dir)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if err := ring.Rotated(noon()).Replace(dir); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			r, err := keyring.Open(dir, noon())
			if err != nil {
				t.Error(err)
				return
			}
			reads(t, r, ring)
		})
	}
	all.Wait()
	if diff := cmp.Diff([]string{keyring.File}, inside(t, dir)); diff != "" {
		t.Errorf("in the directory (-want +got):\n%s", diff)
	}
}

// keys is the file that holds keys of these IDs and secrets.
func keys(t *testing.T, pairs ...string) string {
	t.Helper()
	type one struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	var all []one
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, one{pairs[i], pairs[i+1]})
	}
	data, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := keys(t, "k1", secret(1))
	short := base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstu")) // 31 bytes
	weak := base64.StdEncoding.EncodeToString([]byte("passwordpasswordpasswordpassword"))
	tests := []struct {
		name, data string
		mode       os.FileMode
		want       string // in the message
	}{
		{"others may read it", good, 0o604, "chmod 600"},
		{"its group may read it", good, 0o640, "chmod 600"},
		{"empty", "", 0o600, "damaged"},
		{"cut short", good[:len(good)-20], 0o600, "damaged"},
		{"something after it", good + good, 0o600, "damaged"},
		{"not base64", keys(t, "k1", secret(1)+"!"), 0o600, "damaged"},
		{"an unknown field", strings.Replace(good, `"id"`, `"version":2,"id"`, 1), 0o600, "damaged"},
		{"too long", strings.Repeat(" ", 1<<20) + good, 0o600, "damaged"},
		{"no key", `{"keys":[]}`, 0o600, "no key"},
		{"null", `null`, 0o600, "no key"},
		{"two of an ID", keys(t, "k1", secret(1), "k1", secret(2)), 0o600, "two keys k1"},
		{"a short key", keys(t, "k1", short), 0o600, "k1 is weak"},
		{"a weak key", keys(t, "k1", secret(1), "k2", weak), 0o600, "k2 is weak"},
		{"no ID", keys(t, "", secret(1)), 0o600, "ID"},
		{"the secret as ID", keys(t, secret(1), secret(2)), 0o600, "ID"},
		{"an ID with a colon", keys(t, "a:b", secret(1)), 0o600, "ID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, keyring.File)
			if err := os.WriteFile(path, []byte(test.data), test.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			_, err := keyring.Open(dir, noon())
			kind(t, err, gathering.KindInvalid)
			tellsNothing(t, err, test.want)
			after, err := os.ReadFile(path)
			if err != nil || string(after) != test.data {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// tellsNothing holds that an error says what is wrong and nothing of a key.
func tellsNothing(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	text := err.Error()
	if !strings.Contains(text, want) {
		t.Errorf("got %q, want it to say %q", text, want)
	}
	for _, part := range []string{secret(1)[:8], secret(2)[:8], "password", "cGFzc3", "MDEyMzQ1"} {
		if strings.Contains(text, part) {
			t.Errorf("%q holds a part of a key", text)
		}
	}
}

func TestOpenWithoutADirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := keyring.Open(filepath.Join(file, "data"), noon())
	kind(t, err, gathering.KindUnavailable)

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, keyring.File), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = keyring.Open(dir, noon())
	kind(t, err, gathering.KindUnavailable)
	if diff := cmp.Diff([]string{keyring.File}, inside(t, dir)); diff != "" {
		t.Errorf("in the directory (-want +got):\n%s", diff)
	}
	kind(t, open(t, t.TempDir()).Replace(dir), gathering.KindUnavailable) // a file does not take a directory's place
	if diff := cmp.Diff([]string{keyring.File}, inside(t, dir)); diff != "" {
		t.Errorf("after a ring could not be replaced (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	one := parse(t, "k1:"+secret(1))
	two := parse(t, " k1:"+secret(1)+" , k2:"+secret(2)+"\n")
	if got := two.Current(); got != "k2" {
		t.Errorf("the current key is %s, want the last", got)
	}
	reads(t, two, one)

	weak := base64.StdEncoding.EncodeToString([]byte("passwordpasswordpasswordpassword"))
	for name, test := range map[string]struct{ text, want string }{
		"nothing":       {"", "ID:BASE64"},
		"no ID":         {secret(1), "ID:BASE64"},
		"an empty ID":   {":" + secret(1), "ID of a key"},
		"not base64":    {"k1:" + secret(1) + "!", "ID:BASE64"},
		"turned around": {secret(1) + ":k1", "ID:BASE64"},
		"a comma more":  {"k1:" + secret(1) + ",", "ID:BASE64"},
		"two of an ID":  {"k1:" + secret(1) + ",k1:" + secret(2), "two keys k1"},
		"weak":          {"k1:" + weak, "weak"},
		"short":         {"k1:MDEyMzQ1", "weak"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keyring.Parse(test.text)
			kind(t, err, gathering.KindInvalid)
			tellsNothing(t, err, test.want)
		})
	}
}

func TestFileAndVariableAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyring.File), []byte(keys(t, "k1", secret(1))), 0o600); err != nil {
		t.Fatal(err)
	}
	reads(t, open(t, dir), parse(t, "k1:"+secret(1)))
}
