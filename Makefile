# What one does with this repository. `make` alone tells.
.DEFAULT_GOAL := help
.PHONY: help setup core demo observe test lint bench bench-peers bench-capacity fuzz slow integrity limits metrics lock clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
# Build results are kept; one stamp a step tells whether its sources changed since.
LOCKED := .venv/.locked
PACKAGES := .venv/.packages
CORE := .venv/.core
CORE_SOURCES := Cargo.toml Cargo.lock .cargo/config.toml $(shell find relay_core -type f \
	\( -name '*.rs' -o -name 'Cargo.toml' -o -name 'pyproject.toml' -o -path 'relay_core/spec/*.toml' -o -name pyo3.conf \))
PYPROJECTS := python/pyproject.toml agent/pyproject.toml client/pyproject.toml loadtest/pyproject.toml
COMPILED := python/hatch_build.py $(foreach source,python/telerelay/routing/decide loadtest/telerelay_loadtest/forecast/kernel, \
	$(source).py $(source).pxd)

help: ## tell what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: core ## make .venv with everything in it, installing what this machine lacks

.PHONY: programs
programs:
	@packaging/setup/programs.sh

$(LOCKED): requirements.lock packaging/setup/venv.sh packaging/setup/uv.sh packaging/setup/python.sh | programs
	@echo "setup: .venv from requirements.lock"
	@packaging/setup/venv.sh
	@touch $@

$(PACKAGES): $(LOCKED) $(PYPROJECTS) $(COMPILED) packaging/setup/packages.sh
	@echo "setup: packages of this repository"
	@packaging/setup/packages.sh
	@touch $@

$(CORE): $(PACKAGES) $(CORE_SOURCES) packaging/setup/core.sh
	@echo "setup: Rust core"
	@packaging/setup/core.sh
	@touch $@

core: programs $(CORE) ## compile the Rust core into .venv, when its sources changed

demo: setup ## show a real desktop through the relay; KEEP=1 leaves it running
	@$(BIN)/telerelay demo

observe: setup ## watch a demo under gentle load with a Prometheus until Ctrl-C, every panel drawn into build/observe; ARGS='--for 120'
	@$(BIN)/python -m tests.observe $(ARGS)

test: setup lint ## everything that CI runs: lint, Rust tests, Python tests
	@mkdir -p build
	cargo test --workspace --locked --quiet 2>&1 | tee build/rust-tests.txt
	@# Most of them wait for something: side by side the parts take little longer than the longest of them.
	@echo "$(BIN)/pytest tests/node, and beside it tests/desktop with tests/faults, and tests/pure"; \
	$(BIN)/pytest tests/desktop tests/faults >build/desktop-tests.txt 2>&1 & desktop=$$!; \
	$(BIN)/pytest tests/pure >build/pure-tests.txt 2>&1 & pure=$$!; \
	failed=0; $(BIN)/pytest tests/node || failed=$$?; \
	wait $$desktop || failed=$$?; \
	wait $$pure || failed=$$?; \
	cat build/desktop-tests.txt build/pure-tests.txt; exit $$failed
	@awk '/^test result:/ {passed += $$4; failed += $$6} END {printf "rust: %d passed, %d failed\n", passed, failed}' build/rust-tests.txt

lint: setup ## formatting, clippy, ruff, types, stubs, import contracts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml telerelay_core telerelay_generator telerelay_sim
	$(BIN)/lint-imports --no-logo
	@$(BIN)/python relay_core/spec/tables.py --check

bench: setup ## measure the relay against its goals; ONLY=B6,B7 measures these, CHECK=B6,B7 fails unless they are met
	@packaging/setup/release.sh
	@PYTHONPATH=build/release/python $(BIN)/python -m tests.bench $(if $(ONLY),--only '$(ONLY)') $(if $(CHECK),--check '$(CHECK)')

bench-peers: setup ## the same beside HAProxy, nginx, rathole and ssh -R, about 18 minutes, as root; PEERS=all adds frp, chisel, stunnel; ONLY=line,set-ups measures these
	@packaging/setup/release.sh
	@PYTHONPATH=build/release/python $(BIN)/python -m tests.bench.peers $(if $(PEERS),--peers '$(PEERS)') $(if $(ONLY),--only '$(ONLY)')

bench-capacity: setup ## mornings of 300, 1,000 and 3,000 people, and what a forecast makes of the first two; about 15 minutes
	@packaging/setup/release.sh
	@PYTHONPATH=build/release/python $(BIN)/python -m tests.bench.capacity

fuzz: setup ## coverage-guided fuzzing, FUZZ_SECONDS (60) for each surface; then Python's parsers and the API
	@relay_core/fuzz/run.sh
	$(BIN)/pytest --hypothesis-profile=fuzz --timeout=0 tests/pure/test_parsers.py tests/node/test_api_requests.py

slow: setup ## the tests that wait out a timer of minutes
	$(BIN)/pytest tests/slow

integrity: setup ## carry a million paths through the engine, many of them broken on the way: no byte may be lost or mixed up
	cargo test --release --locked -p telerelay-engine --test integrity -- --ignored

limits: ## write docs/LIMITS.md and PROTOCOL.md §12 from relay_core/spec/limits.toml
	@python3 relay_core/spec/tables.py

metrics: ## write docs/METRICS.md from the families in python/telerelay/metrics
	@$(BIN)/python -m telerelay.metrics.page docs/METRICS.md

lock: $(LOCKED) ## resolve the dependencies of pyproject.toml anew into requirements.lock
	@packaging/setup/lock.sh

clean: ## remove all that was built
	rm -rf target build .venv demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find relay_core python loadtest -name '*.so' -delete
