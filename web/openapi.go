//go:build ignore

// Openapi writes the OpenAPI document of the API, of which the dashboard's
// client is made.
package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"gathering/internal/api"
	"gathering/internal/launch"
)

func main() {
	w := httptest.NewRecorder()
	routes := api.New(api.Options{Launcher: &launch.Launcher{}, Logger: slog.New(slog.DiscardHandler)})
	routes.Public().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", http.NoBody))
	if w.Code != http.StatusOK {
		panic(w.Body.String())
	}
	if _, err := os.Stdout.Write(w.Body.Bytes()); err != nil {
		panic(err)
	}
}
