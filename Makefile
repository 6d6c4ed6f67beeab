# `make serve` and `make test` are the whole set-up on a machine with Python 3.11 or newer, git and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHON
# Whoever starts a server again and again, as tests do, is not to compile it each time: two fifths of a start.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv/bin
ARGS ?=
IMAGE ?= estiva-server

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup-runtime
setup-runtime:
	@scripts/setup runtime

.PHONY: setup
setup: ## Install the project with its tests and checks into .venv
	@scripts/setup test

.PHONY: setup-clients
setup-clients:
	@scripts/setup clients

.PHONY: serve
serve: setup-runtime ## Run the registry on 127.0.0.1:5000 (more options: make serve ARGS='--listen 127.0.0.1:5001')
	@exec $(VENV)/estiva serve $(ARGS)

.PHONY: test
test: setup ## Run the tests that need no network, no daemon and no other tool
	@$(VENV)/python -m pytest -m 'not real and not fault' $(ARGS)

.PHONY: check
check: setup ## Check format, lint, types and the import contracts
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports

.PHONY: test-real
test-real: setup-clients ## Run the tests with real clients: docker, podman, buildah, skopeo, containerd, crane, oras, helm
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(VENV)/python -m pytest -m 'real and not long and not fault' $(ARGS)

.PHONY: conformance
conformance: setup ## Run the official OCI conformance suite against a registry started for it
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(VENV)/python scripts/conformance.py $(ARGS)

# Three at a time, for they wait a lot.
FAULTS := @PATH="$(CURDIR)/.tools/bin:$$PATH" $(VENV)/python -m pytest tests/faults tests/estiva_server/test_draining.py \
	-n 3 --dist worksteal

.PHONY: faults
faults: setup ## Kill the registry, cut its power, fill its disk, all for long: prints docs/reliability.md's figures (root)
	$(FAULTS) $(ARGS) \
		tests/orchestrator/test_on_two_engines.py::test_many_tasks_are_spread_evenly_run_once_each_and_leave_nothing

.PHONY: faults-short
faults-short: setup ## The short form of the same, every fault of it: a few minutes (root)
	$(FAULTS) -m 'not long' $(ARGS)

.PHONY: bench
bench: setup ## Measure, side by side with other registries (figures, not pass or fail)
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(VENV)/python -m benchmarks $(ARGS)

.PHONY: bench-quick
bench-quick: setup ## The same in a minute or two, to see that it works
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(VENV)/python -m benchmarks --quick $(ARGS)

.PHONY: tools
tools: ## Install the real clients the other targets use (Debian 12, as root)
	@scripts/install-tools

.PHONY: lock
lock: ## Write constraints.txt anew from pyproject.toml
	@scripts/lock

.PHONY: image
image: ## Build the container image with docker
	docker build --tag $(IMAGE) .

.PHONY: clean
clean: ## Remove what was built and installed here (never estiva-data)
	rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
