package gathering

import "time"

// Provider is a provider of models with its key, as it is stored. The key is
// never told.
type Provider struct {
	ID ProviderID `json:"id"`
	// Name is the part of a model's reference before the slash, as "openai". It
	// takes the place of a provider of that name from the environment.
	Name string `json:"name"`
	// Format is how it is spoken to: "openai", "anthropic", "google", or
	// "compatible" for servers that speak OpenAI's.
	Format    string    `json:"format"`
	BaseURL   string    `json:"base_url"`
	HasKey    bool      `json:"has_key"`
	Revision  int64     `json:"revision"` // counts the changes
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Model is a model that agents may use.
type Model struct {
	Ref string `json:"ref"` // as agents name it: "openai/gpt-…"
	// Usable says that it can be asked; Problem why it cannot.
	Usable  bool   `json:"usable"`
	Problem string `json:"problem,omitempty"`
	// ContextWindow and MaxOutput are in tokens; 0 is unknown.
	ContextWindow int64 `json:"context_window,omitempty"`
	MaxOutput     int64 `json:"max_output,omitempty"`
	// Priced says that it is known what it costs: nil prices are those of
	// nobody knows what.
	Price *ModelPrice `json:"price,omitempty"`
}

// ModelPrice is what a million tokens cost, in millionths of a US dollar.
type ModelPrice struct {
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
}

// The events of a stored provider, in the stream that bears its ID.
const (
	EventProviderCreated EventType = "provider.created" // data: ProviderChangedData
	EventProviderUpdated EventType = "provider.updated" // data: ProviderChangedData
	EventProviderDeleted EventType = "provider.deleted" // data: ProviderChangedData
)

// ProviderChangedData says how a stored provider is after a change.
type ProviderChangedData struct {
	Name    string `json:"name"`
	BaseURL string `json:"base_url"`
	HasKey  bool   `json:"has_key"`
	By      string `json:"by"`
}
