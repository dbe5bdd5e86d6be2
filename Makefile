# Every target is a few commands that can be retyped by hand. `make help` lists them.

SHELL   := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X mangrove/cmd/internal/cli.version=$(VERSION)
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'

# How long `make fuzz` runs each target, how often `make microbench` runs each benchmark, which form of
# `make bench`, how long `make soak`, and which of `make mutants`.
FUZZTIME ?= 1m
COUNT    ?= 1
BENCH    ?= quick
SOAK     ?= 10m
MUTANT   ?=

.PHONY: help build demo test test-faults clients vet race fuzz bench soak microbench check mutants conformance cross clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

build: ## bin/mangrove and bin/mangrove-edge for this machine
	$(BUILD) -o bin/ ./cmd/mangrove ./cmd/mangrove-edge

demo: build ## a whole fleet on this machine, with faults, and a report of what arrived
	bin/mangrove demo

# -count=1: internal/e2e runs a binary and internal/repotest runs go list, which the test cache knows nothing of.
# -p: many tests wait for a timer most of the time, so one package more than there are processors is tested at once.
test: vet clients ## go vet and every test
	go test -count=1 -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) ./...

# As root it uses mounts and network namespaces of its own; what a machine does not let it do is skipped and says so.
# MANGROVE_RACE=1 builds the nodes under the race detector.
test-faults: ## the fault tests in their long forms, with what they did: kill -9, power cuts, full disks, bad networks, crowds
	@if ! command -v nft >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install nftables \
			|| echo "nftables: could not be installed; the tests that use it are skipped"; \
	fi
	MANGROVE_FAULTS=long go test -count=1 -timeout 30m -v -run 'Fault|PowerCut' ./internal/e2e ./internal/powercut ./internal/store ./internal/wal

vet:
	go vet ./...

# The tests also speak with Debian's mosquitto clients; without them those tests are skipped.
clients:
	@if command -v mosquitto_pub >/dev/null && command -v mosquitto_sub >/dev/null; then \
		echo "mosquitto clients: installed"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "mosquitto clients: missing, installing the package mosquitto-clients"; \
		{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install mosquitto-clients; } \
			|| echo "mosquitto clients: could not be installed; the tests that use them are skipped"; \
	else \
		echo "mosquitto clients: missing; the tests that use them are skipped (Debian: apt-get install mosquitto-clients)"; \
	fi

race: ## every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

fuzz: ## every fuzz target for FUZZTIME each
	@set -euo pipefail; \
	packages=$$(go list ./...); \
	for pkg in $$packages; do \
		tests=$$(go test -list '^Fuzz' $$pkg); \
		for target in $$(grep '^Fuzz' <<<"$$tests" || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# nats-server and mochi-mqtt are a Go module of their own, so that they are no part of the product.
bench: build ## docs/benchmarks.md: Mangrove beside other brokers; BENCH=quick takes 3 minutes, BENCH=full 25
	@command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || echo "mosquitto: not installed (Debian: apt-get install mosquitto)"
	@CGO_ENABLED=0 go build -C internal/bench/peers -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/peers/ github.com/nats-io/nats-server/v2 ./mochi \
		|| echo "nats-server, mochi-mqtt: could not be built; the report says that they are not installed"
	GOOS=linux GOARCH=arm64 $(BUILD) -o dist/linux-arm64/ ./cmd/mangrove-edge
	bin/mangrove bench matrix --form $(BENCH) --gateway dist/linux-arm64/mangrove-edge --out docs/benchmarks.md

soak: build ## everything at once at a fixed rate on one edge, for SOAK; fails when memory, goroutines, files or disk grow
	bin/mangrove bench soak --duration $(SOAK)

microbench: ## every Go benchmark, COUNT times, with allocations
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./...

# staticcheck is a tool in a module of its own, so that what it needs is no need of the product. The first run fetches it.
check: vet ## go vet, formatting, the repository's own rules, staticcheck with all its checks
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	go test -count=1 ./internal/repotest
	go tool -modfile=internal/tools/go.mod staticcheck -checks all ./...

# MUTANT selects by the beginning of the ids in internal/mutants/rules: MUTANT=S08, MUTANT='T W'. A file of the repository is never touched.
mutants: ## break the rules of internal/mutants/rules one by one, and fail when the tests stay green
	go run ./internal/mutants/mutate $(MUTANT)

conformance: ## write docs/conformance.md: each statement of the standards with its code and tests
	go test -count=1 ./internal/conformance -update

cross: ## dist/ for linux on amd64, arm64, armv7 and armv6, with sizes
	GOOS=linux GOARCH=amd64 $(BUILD) -o dist/linux-amd64/ ./cmd/mangrove ./cmd/mangrove-edge
	GOOS=linux GOARCH=arm64 $(BUILD) -o dist/linux-arm64/ ./cmd/mangrove ./cmd/mangrove-edge
	GOOS=linux GOARCH=arm GOARM=7 $(BUILD) -o dist/linux-armv7/ ./cmd/mangrove ./cmd/mangrove-edge
	GOOS=linux GOARCH=arm GOARM=6 $(BUILD) -o dist/linux-armv6/ ./cmd/mangrove ./cmd/mangrove-edge
	@wc -c dist/*/mangrove dist/*/mangrove-edge | awk '!/total/ { printf "%-32s %5.1f MB\n", $$2, $$1 / 1e6 }'

clean: ## remove what the other targets made
	rm -rf bin dist
