package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"gathering"
)

// TestKeyAtTheCut holds that nothing is left of a key which stands where what a
// provider said is cut, neither in what whoever asked may see nor in the log.
func TestKeyAtTheCut(t *testing.T) {
	t.Parallel()
	const shown = 300 // bytes of what a provider said
	bodies := map[string]func(said string) string{
		"error.message": func(said string) string { return `{"error":{"message":` + quoted(said) + `}}` },
		"error":         func(said string) string { return `{"error":` + quoted(said) + `}` },
		"message":       func(said string) string { return `{"message":` + quoted(said) + `}` },
		"text":          func(said string) string { return said },
	}
	forEach(t, func(t *testing.T, d dialect, w way) {
		for name, body := range bodies {
			for _, part := range []int{1, len(key) / 2, len(key) - 1} { // of the key before the cut
				pad := strings.Repeat("x", shown-part)
				s := serve(t, status(422, body(pad+key+" and more")))
				_, err := w.ask(t.Context(), model(t, s, d, nil), hello())
				want := "local/model-1: the provider refused the request: " + gathering.Brief(pad+"[key] and more")
				if got := gathering.FailureOf(err).Message; got != want {
					t.Errorf("%s, %d bytes of the key: got %s, want %s", name, part, got, want)
				}

				pad = pad[len("status 429: "):]
				s = serve(t, status(429, body(pad+key)))
				_, err = w.ask(t.Context(), model(t, s, d, nil), hello())
				if got := err.Error(); strings.Contains(got, "x"+key[:1]) || !strings.Contains(got, pad) {
					t.Errorf("%s, %d bytes of the key: the log gets %s", name, part, got)
				}
			}
		}
	})
}

// TestRefusalInPart holds that an answer of which only a part comes is not
// repeated: it may have been cut within the key.
func TestRefusalInPart(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"over the bound": status(422, "Not with "+strings.Repeat(" ", 64<<10-19)+key),
		"broken off":     status(422, "Not with "+key[:10], "Content-Length", "1000"),
	}
	forEach(t, func(t *testing.T, d dialect, w way) {
		for name, answer := range answers {
			_, err := w.ask(t.Context(), model(t, serve(t, answer), d, nil), hello())
			if got, want := err.Error(), "local/model-1: the provider refused the request"; got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	})
}
