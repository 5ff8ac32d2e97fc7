package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gathering"
)

// ollama returns the address of the Ollama server, as Ollama's own client reads
// OLLAMA_HOST: scheme, host and port may each be left out, and the address that
// a server listens on everywhere with stands for this machine.
func (e environment) ollama() (string, error) {
	text := e.value("OLLAMA_HOST", "127.0.0.1:11434")
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || checkURL(text) != nil {
		return "", gathering.NewError(gathering.KindInvalid, `OLLAMA_HOST must be an address such as "127.0.0.1:11434"`)
	}
	host, port := u.Hostname(), u.Port()
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "11434"
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port) + strings.TrimSuffix(u.Path, "/"), nil
}

// Reachable asks the Ollama server that lookup names, or the usual one on this
// machine, which models it has, and returns a reference to the first that
// writes text: "ollama/qwen3:8b". It answers within 300 ms. No server is
// KindUnavailable, a server without a model KindNotFound.
func Reachable(ctx context.Context, lookup func(name string) (string, bool)) (string, error) {
	base, err := environment{lookup}.ollama()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	names, err := installed(ctx, base)
	if err != nil {
		return "", gathering.NewError(gathering.KindUnavailable, "no Ollama server answers at %s", base).
			WithCause(errors.New(gathering.Brief(err.Error())))
	}
	for _, name := range names {
		if !strings.Contains(name, "embed") && !strings.Contains(name, "minilm") {
			return "ollama/" + name, nil
		}
	}
	return "", gathering.NewError(gathering.KindNotFound, "the Ollama server at %s has no model; ollama pull gets one", base)
}

// installed returns the names of the models that the server at base has.
func installed(ctx context.Context, base string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/tags", nil)
	if err != nil {
		return nil, err
	}
	client, err := newClient(Config{BaseURL: base, Own: true, Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer client.http.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&list); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range list.Models {
		names = append(names, m.Name)
	}
	return names, nil
}
