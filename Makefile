# Wellhead. The default target prints what there is.

GO      ?= go
BIN     := bin
BROWSER := plugins/javascript/dist/.installed
CLIENTS := plugins/javascript/testdata/clients plugins/salesforce/simulator/testdata/clients
INSTALLED := $(CLIENTS:%=%/node_modules/.installed)

.DEFAULT_GOAL := help
.PHONY: help run build test test-long fuzz lint bench proto clean tools

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## start the quickstart: a host, a shop page to click on, a simulated Salesforce org
	@$(BIN)/quickstart

build: tools $(BROWSER) ## build the host and its plugins into bin/
	@echo "building the host and its plugins, which takes minutes the first time"
	$(GO) build -o $(BIN)/wellhead ./host/cmd/wellhead
	$(GO) build -o $(BIN)/plugins/javascript ./plugins/javascript
	$(GO) build -o $(BIN)/plugins/journeys ./plugins/journeys
	$(GO) build -o $(BIN)/plugins/salesforce ./plugins/salesforce
	$(GO) build -o $(BIN)/plugins/sql ./plugins/sql
	$(GO) build -o $(BIN)/salesforce-simulator ./plugins/salesforce/simulator
	$(GO) build -o $(BIN)/plugins/hello ./examples/hello
	$(GO) build -o $(BIN)/quickstart ./examples/quickstart

# The browser libraries that the collector serves, from npm by lock file.
$(BROWSER): plugins/javascript/browser/package-lock.json
	$(GO) generate ./plugins/javascript
	@touch $@

# The vendors' clients that tests run, from npm by lock file.
$(INSTALLED): %/node_modules/.installed: %/package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --prefix $*
	@touch $@

# Package host starts real processes, kills them and looks at the time that they
# take: it has the machine to itself.
test: build $(INSTALLED) ## run every test, races included; installs what it needs on Debian
	./.ci/need test
	$(GO) vet ./...
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v '/wellhead/host$$')
	$(GO) test -race -timeout 20m ./host

test-long: build $(INSTALLED) ## run the crash tests at their full counts (hours)
	./.ci/need test
	WELLHEAD_LONG=1 $(GO) test -timeout 6h -count=1 $$($(GO) list ./host/... | grep -v '/wellhead/host$$')
	WELLHEAD_LONG=1 $(GO) test -timeout 6h -count=1 ./host

fuzz: ## hold the fast gate against the JSON Schema library, ten million times (half an hour)
	$(GO) test -count=1 -v -timeout 6h -run AgreesWithV5 ./host/internal/schema/fast -args -cases 10000000

lint: ## check style
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

bench: build ## measure against peers, side by side
	./.ci/need bench
	$(GO) run ./host/bench -o $(BIN)/bench.md

proto: ## generate the code of the gRPC protocols
	./.ci/need proto
	$(GO) generate ./sdk/wire ./plugins/salesforce/eventbus

clean: ## remove what was built
	rm -rf $(BIN) plugins/javascript/dist/segment plugins/javascript/dist/customerio $(BROWSER)

tools:
	@./.ci/need build
