# Sigra. `make help` lists what there is; `make test` needs nothing but Go, git and a Debian-like system.

GO        ?= go
PKG       ?= ./...
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
TOOLS     := .ci/tools
# Tools run by exact version and stay out of go.mod.
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BUF         := $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0

.DEFAULT_GOAL := help
.PHONY: help build run test quick check bench soak fuzz generate clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sigra (all satellites) and bin/sigra-core (none), and one binary per satellite
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sigra ./cmd/sigra
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -tags core_only -o bin/sigra-core ./cmd/sigra
	@for d in plugins/*/cmd/*/; do n=$$(basename $$d); echo "$(GO) build bin/$$n"; $(GO) build -trimpath -ldflags '-s -w' -o bin/$$n ./$$d || exit 1; done

run: ## start Sigra on http://localhost:8484 with the example configuration
	$(GO) run ./cmd/sigra serve --config sigra.hcl.example

test: ## every test, with the race detector, on SQLite and Postgres, in a real browser (installs what is missing)
	@$(TOOLS)
	@.ci/test $(PKG)

quick: ## the tests of PKG without the race detector (PKG=./core/relay/...)
	@.ci/with-postgres $(GO) test $(PKG)

check: ## formatting, vet, staticcheck, the plugin contract, generated code, dependencies
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt'd:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags core_only ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff
	cd pluginsdk/proto && $(BUF) lint && $(BUF) breaking --against contract-v1.binpb
	@.ci/check-generated

bench: ## whole-server benchmarks: ratios against a bare Go server and the databases' own limits
	@$(TOOLS)
	@.ci/with-postgres $(GO) test ./cmd/sigra -run '^TestBench' -bench-report -v -timeout 60m
	@.ci/with-postgres $(GO) test ./core/... ./pluginsdk/... ./plugins/... -run '^$$' -bench . -benchmem

soak: ## the heavy proofs at full size: hundreds of kills, long floods, thousands of timed answers
	@$(TOOLS)
	@.ci/with-postgres $(GO) test -race ./cmd/sigra -run '^TestSoak|^TestPasskeys' -skip reloadStorm -soak -v -timeout 120m
	@.ci/with-postgres $(GO) test ./cmd/sigra -run '^TestSoak_reloadStorm' -soak -v -timeout 60m # fifty people's hashes are too much with the race detector
	@.ci/with-postgres $(GO) test ./core/auth -run '^TestEnumeration_timing$$' -soak -v -timeout 60m
	@$(GO) test ./plugins/relyra/saml -run '^TestMutants$$' -soak -v -timeout 60m

fuzz: ## every fuzz target for FUZZTIME (default 30s)
	@.ci/fuzz $${FUZZTIME:-30s}

generate: ## protobuf code, docs made from data
	PATH="$$($(GO) env GOPATH)/bin:$$PATH" .ci/generate

clean: ## what builds leave behind
	rm -rf bin dist
