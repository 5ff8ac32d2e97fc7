package floors_test

// A floor is the height of a package: it imports only what stands below it.
type floor struct {
	height int
	path   string // within the module; "" is the root
	about  string // for docs/ARCHITECTURE.md
	tests  bool   // made for tests: no production package imports it
	// beside names packages of the same height that it may import.
	beside []string
	// only, where it is not nil, names the packages of this module that it may
	// import, and no other.
	only []string
}

// floors is every package of the module that holds production code or helps
// tests. A new package is a new line.
func floors() []floor {
	return []floor{
		{height: 12, path: "cmd/gathering", about: "the program; alone touches the process: arguments, environment, streams, signals, exit code", beside: []string{"internal/cli"}},
		{height: 12, path: "internal/cli", about: "the command line: commands, flags, output, exit codes", beside: []string{"internal/cli/ask"}},
		{height: 12, path: "internal/cli/ask", about: "commands that ask a service, wherever it is"},
		{height: 11, path: "internal/app", about: "puts the parts together; holds no logic"},
		{height: 11, path: "internal/serve", about: "runs the service: listens, works, drains", beside: []string{"internal/app", "internal/remote"}},
		{height: 11, path: "internal/remote", about: "asks a service from without: at a URL, or by the control socket of a data directory"},
		{height: 11, path: "internal/bench", about: "measures runs per second beside the bare limit of the database", beside: []string{"internal/app"}},
		{height: 10, path: "internal/api", about: "what a client may ask, a file per resource"},
		{height: 9, path: "internal/launch", about: "stores pipelines and starts runs, once what is given was checked"},
		{height: 8, path: "internal/node", about: "makes each kind of node runnable; alone knows every kind"},
		{height: 6, path: "internal/watch", about: "what is going on, for those who look on: the feed, logs of runs, live deltas"},
		{height: 6, path: "internal/catalog", about: "tells what pipelines can be made of"},
		{height: 6, path: "internal/agent", about: "the durable loop of model turns and tool calls"},
		{height: 6, path: "internal/pipeline", about: "stored pipelines, their versions, publishing"},
		{height: 5, path: "internal/llm/stored", about: "providers of models that somebody stored, with encrypted keys"},
		{height: 5, path: "internal/run", about: "stored runs: insert, claim, own, log, inbox, park, cancel, redrive, why"},
		{height: 5, path: "internal/tool/builtin", about: "the tools that need no noun: files, git history, benchmark"},
		{height: 5, path: "internal/tool/web", about: "the tool that calls HTTP services"},
		{height: 4, path: "internal/breaker", about: "circuit breakers of providers, hosts and tools, shared by all runs, with history"},
		{height: 4, path: "internal/auth", about: "who asks and what they may do: users, sessions, tokens, roles"},
		{height: 4, path: "internal/project", about: "projects and their members"},
		{height: 4, path: "internal/llm/provider", about: "models behind an API, by provider and key"},
		{height: 4, path: "internal/llm/offline", about: "the built-in extractive model that needs no key"},
		{height: 4, path: "internal/llm/llmtest", about: "a scripted model", tests: true},
		{height: 4, path: "internal/place", about: "places for runs whose pipelines bound how many are under way"},
		{height: 4, path: "internal/settings", about: "what an administrator sets while the service runs"},
		{height: 4, path: "internal/roster", about: "reads the rows of runs"},
		{height: 4, path: "internal/vital", about: "which instances are alive"},
		{height: 4, path: "internal/purge", about: "deletes runs that have ended with everything that is kept of them"},
		{height: 3, path: "internal/event", about: "the feed of everything that happened and the bell that wakes its readers"},
		{height: 3, path: "internal/keyring", about: "the keys of an installation"},
		{height: 3, path: "internal/audit", about: "who did and tried what, sealed", beside: []string{"internal/event", "internal/keyring"}},
		{height: 3, path: "internal/once", about: "changes that are asked for again under the same key happen one time"},
		{height: 2, path: "internal/store", about: "open, transactions, dialect, migrations, group commit; knows no noun", only: []string{""}},
		{height: 2, path: "internal/store/storetest", about: "a fresh database per test, SQLite and PostgreSQL", tests: true, beside: []string{"internal/store"}},
		{height: 2, path: "internal/engine", about: "what happens next in a run, and the goroutine that owns it; knows no SQL, HTTP, clock or model", only: []string{"", "internal/expr", "internal/schema"}},
		{height: 2, path: "internal/definition", about: "pipeline files: parsing, every check, canonical form", only: []string{"", "internal/expr", "internal/schema"}},
		{height: 2, path: "internal/llm", about: "the names of models and who provides them"},
		{height: 2, path: "internal/tool", about: "typed functions with a schema: registry and validation"},
		{height: 2, path: "internal/web", about: "the dashboard, as it was built", only: []string{"", "internal/httpx"}},
		{height: 1, path: "internal/assign", about: "sets values within JSON, as a command line gives them", only: []string{""}},
		{height: 1, path: "internal/codec", about: "the form in which documents are stored", only: []string{}},
		{height: 1, path: "internal/httpx", about: "what every request needs before any route: address, request ID, access log, problems, headers, deadlines, event streams", only: []string{""}},
		{height: 1, path: "internal/ratelimit", about: "rate limits by key, in memory or shared through Redis", only: []string{""}},
		{height: 1, path: "internal/config", about: "where flags that are not on the command line get their values", only: []string{""}},
		{height: 1, path: "internal/demo", about: "the built-in demo's pipelines", only: []string{""}},
		{height: 1, path: "internal/fair", about: "shares things out between those who want some", only: []string{}},
		{height: 1, path: "internal/progress", about: "how a run goes on, for people: a live tree or plain lines", only: []string{""}},
		{height: 1, path: "internal/reason", about: "what a run waits for, in words", only: []string{""}},
		{height: 1, path: "internal/expr", about: "CEL expressions and `${{ }}` templates", only: []string{""}},
		{height: 1, path: "internal/safedial", about: "HTTP clients for addresses that others chose: no private network, careful redirects", only: []string{""}},
		{height: 1, path: "internal/schema", about: "JSON Schema: compiling and validating", only: []string{""}},
		{height: 0, path: "", about: "the vocabulary: nouns, IDs, states, events, errors; standard library only", only: []string{}},
	}
}

// A library is a module from elsewhere and who may import it.
type library struct {
	module string
	about  string
	users  []string // packages of this module; nil: tests and test packages alone
}

// libraries is every module that this one imports. Whoever is not named as a
// user asks the package that is.
func libraries() []library {
	return []library{
		{module: "cel.dev/cel-go", about: "expressions", users: []string{"internal/expr"}},
		{module: "charm.land/catwalk", about: "facts about models", users: []string{"internal/llm/provider"}},
		{module: "charm.land/fantasy", about: "one interface to model providers", users: []string{"internal/agent", "internal/llm", "internal/llm/llmtest", "internal/llm/offline", "internal/llm/provider"}},
		{module: "github.com/alecthomas/kong", about: "command line", users: []string{"internal/cli", "internal/config"}},
		{module: "github.com/alexedwards/argon2id", about: "password hashing", users: []string{"internal/auth"}},
		{module: "github.com/anishathalye/porcupine", about: "whether what several instances were told can have happened one after the other"},
		{module: "github.com/ccojocar/zxcvbn-go", about: "how easily a password is guessed", users: []string{"internal/auth"}},
		{module: "github.com/danielgtaylor/huma/v2", about: "REST routes and their OpenAPI document from Go types", users: []string{"internal/api"}},
		{module: "github.com/go-redis/redis_rate/v10", about: "rate limits in Redis", users: []string{"internal/ratelimit"}},
		{module: "github.com/golang-jwt/jwt/v5", about: "access tokens", users: []string{"internal/auth"}},
		{module: "github.com/google/go-cmp", about: "comparison"},
		{module: "github.com/google/jsonschema-go", about: "JSON Schema from Go types", users: []string{"internal/tool"}},
		{module: "github.com/hashicorp/golang-lru/v2", about: "a cache of bounded size", users: []string{"internal/breaker", "internal/node"}},
		{module: "github.com/jackc/pgx/v5", about: "PostgreSQL driver", users: []string{"internal/store", "internal/store/storetest"}},
		{module: "github.com/klauspost/compress", about: "zstd, gzip", users: []string{"internal/api", "internal/codec"}},
		{module: "github.com/maypok86/otter/v2", about: "a cache whose entries expire each at its time", users: []string{"internal/auth", "internal/ratelimit", "internal/watch"}},
		{module: "github.com/pressly/goose/v3", about: "migrations", users: []string{"internal/store"}},
		{module: "github.com/realclientip/realclientip-go", about: "a client's address behind proxies", users: []string{"internal/httpx"}},
		{module: "github.com/redis/go-redis/v9", about: "Redis client", users: []string{"internal/ratelimit"}},
		{module: "github.com/rogpeppe/go-internal", about: "command-line scenarios"},
		{module: "github.com/santhosh-tekuri/jsonschema/v6", about: "JSON Schema validation", users: []string{"internal/schema"}},
		{module: "github.com/tmaxmax/go-sse", about: "reads streams of events", users: []string{"internal/remote"}},
		{module: "go.uber.org/goleak", about: "leaked goroutines"},
		{module: "go.yaml.in/yaml/v4", about: "YAML", users: []string{"internal/config", "internal/definition"}},
		{module: "golang.org/x/net", about: "which proxy leads to an address", users: []string{"internal/llm/provider"}},
		{module: "golang.org/x/term", about: "whether there is a terminal, and its size", users: []string{"cmd/gathering"}},
		{module: "golang.org/x/text", about: "how wide characters are; text in other encodings", users: []string{"internal/auth", "internal/progress", "internal/tool/web"}},
		{module: "modernc.org/sqlite", about: "SQLite without C", users: []string{"internal/store"}},
	}
}

// never is what no production package imports, and why.
func never() map[string]string {
	return map[string]string{
		"expvar":         "it serves on the default mux by being imported",
		"net/http/pprof": "it serves on the default mux by being imported",
		"testing":        "helpers for tests live in ...test packages",
	}
}

// maxPackageLines bounds a package's lines of production code. As with files,
// blank lines and comments are free.
const maxPackageLines = 3000
