# `make help` says what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Go and golangci-lint keep their caches under the home directory. Without one
# they keep them here.
ifeq ($(strip $(HOME)),)
export GOPATH ?= $(CURDIR)/.cache/go
export GOCACHE ?= $(CURDIR)/.cache/go-build
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/.cache/golangci-lint-cache
endif

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# One built by another Go cannot read what this one compiles.
GOLANGCI := .cache/golangci-lint-$(shell go env GOVERSION 2>/dev/null)

TESTFLAGS    ?= -count=1
# SQLite is C made into Go: checks of its pointers are a quarter of what tests take.
RACEFLAGS    := -gcflags='modernc.org/...=-d=checkptr=0'
TEST_TIMEOUT ?= 10m
FUZZTIME     ?= 30s
SOAK_MINUTES ?= 30
SEEDS        ?= 3000
SOAK_SEEDS   ?= 50000
BENCHFLAGS   ?=

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build ## build, then run the demo pipeline over this directory
	bin/gathering demo .

.PHONY: build
build: dashboard ## bin/gathering, with the dashboard where there is Node.js
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gathering ./cmd/gathering

# What the dashboard is built of. Its client is made of the API's document.
WEB := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/e2e/*' -not -name '*.test.ts*' 2>/dev/null) $(wildcard internal/api/*.go *.go)
DASHBOARD := internal/web/dist/app/index.html.gz
SCHEMA    := web/src/api/schema.d.ts
# The program that the dashboard is tested with.
E2E := .cache/gathering-e2e

.PHONY: dashboard
dashboard:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(DASHBOARD); else \
		echo 'there is no Node.js (npm): the program is built without its dashboard' >&2; fi

$(DASHBOARD): $(WEB) $(SCHEMA)
	cd web && npm run --silent build -- --logLevel warn

$(SCHEMA): $(wildcard internal/api/*.go *.go) web/openapi.go | npm-packages
	go run web/openapi.go >web/openapi.json
	cd web && npm run --silent generate

.PHONY: npm-packages
npm-packages:
	@scripts/deps.sh packages web

.PHONY: lint-web
lint-web: $(SCHEMA)
	cd web && npm run --silent lint && npm run --silent types

.PHONY: web
web: deps dashboard ## the tests of the dashboard, in a browser too; its pages as pictures in web/e2e/screenshots
	@$(MAKE) --no-print-directory lint-web
	cd web && npm run --silent test
	go build -o $(E2E) ./cmd/gathering
	cd web && npm run --silent e2e

.PHONY: deps
deps: ## see to git, a C compiler, PostgreSQL's and Redis' programs; install what is missing
	@scripts/deps.sh

.PHONY: test
test: deps dashboard ## every test, with the race detector, on SQLite, PostgreSQL and Redis; SEEDS (3000) of the simulation; the dashboard's
	CGO_ENABLED=1 go test -race $(RACEFLAGS) -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...
	go test -timeout $(TEST_TIMEOUT) -run '^TestSimulation$$' ./internal/run -seeds $(SEEDS)
	@$(MAKE) --no-print-directory web
	@scripts/deps.sh databases

.PHONY: lint
lint: $(GOLANGCI) ## linters, formatting, tidy go.mod, and the rules in internal/floors
	$(GOLANGCI) run ./...
	go mod tidy -diff
	go test -count=1 ./internal/floors
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-web; else \
		echo 'there is no Node.js (npm): the dashboard is not looked at' >&2; fi

.PHONY: verify
verify: ## modules are what go.sum says, documents agree with the code
	go mod verify
	go test -count=1 -run 'TestArchitecture|TestLinks' ./internal/floors

.PHONY: ci
ci: lint test verify ## what must hold before a change is merged

.PHONY: fmt
fmt: $(GOLANGCI) ## format the Go files
	$(GOLANGCI) fmt ./...

.PHONY: tables
tables: ## write the tables in docs/ARCHITECTURE.md from those the tests hold
	go test -count=1 -run TestArchitecture ./internal/floors -update

.PHONY: bench
bench: deps ## the benchmarks: runs per second, the API, group commit, definitions, expressions
	go test -run '^$$' -bench . $(BENCHFLAGS) ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: deps ## SOAK_SEEDS (50000) of the simulation, the tests in random order for SOAK_MINUTES (30), then fuzz
	go test -timeout 0 -run '^TestSimulation$$' ./internal/run -seeds $(SOAK_SEEDS)
	end=$$(($$(date +%s) + 60 * $(SOAK_MINUTES))); \
	while [ "$$(date +%s)" -lt "$$end" ]; do \
		GATHERING_SOAK=1 CGO_ENABLED=1 go test -race -timeout $(TEST_TIMEOUT) -shuffle=on -count=1 ./... || exit 1; \
	done
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built here, not the data
	chmod -R u+w .cache 2>/dev/null || true
	rm -rf bin .cache $(dir $(DASHBOARD)) $(SCHEMA) web/openapi.json

$(GOLANGCI): tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
