# Everything a contributor types. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where `make servers` puts servers of other versions, and `make test-versions` finds them.
SERVERS_HOME ?= /var/lib/taskyard-servers
# How many tests run side by side, each with servers of its own; "auto" asks tests/parallel.py, 0 is none.
TEST_WORKERS ?= auto
PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

# Reads pyproject.toml in the current folder, and names extras: pip takes a pin without them for no pin of a
# requirement with them, as soon as a newer version is out. Pins already in the output are kept.
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-strip-extras --custom-compile-command "make lock"
RUNTIME_LOCK = $(COMPILE) $(LOCK_FLAGS) --extra api --extra worker --extra build -o requirements.txt
OTEL_LOCK = $(COMPILE) $(LOCK_FLAGS) --extra api --extra worker --extra build --extra otel \
  --constraint requirements.txt -o requirements-otel.txt
DEV_LOCK = $(COMPILE) $(LOCK_FLAGS) --all-extras --constraint requirements.txt \
  --constraint requirements-otel.txt -o requirements-dev.txt

LOCKS := requirements.txt requirements-otel.txt requirements-dev.txt

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- Running --------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/.runtime ## Start RabbitMQ, Redis and the three services; Ctrl-C stops them
	@exec $(BIN)/python -m tools.run

.PHONY: install
install: $(VENV)/.runtime ## Install taskyard into .venv, for programs beside `docker compose up`

# --- Checking -------------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.dev system-packages ## Run every test; PYTEST_FLAGS="-k name" to choose
	@$(PYTEST) $(PYTEST_FLAGS)

.PHONY: servers
servers: ## Install RabbitMQ 4.0 and the newest, with their Redis, for test-versions (as root)
	@SERVERS_HOME=$(SERVERS_HOME) tests/servers/install.sh trixie sid

.PHONY: test-versions
test-versions: $(VENV)/.dev system-packages ## Run every test on each RabbitMQ and Redis that is installed
	@failed=
	for server in "" $(wildcard $(SERVERS_HOME)/*/bin/rabbitmq-server); do
	  export RABBITMQ_SERVER=$$server REDIS_SERVER=$${server:+$${server%/*}/redis-server}
	  $(PYTEST) $(PYTEST_FLAGS) || failed+=" $${server:-this machine's}"
	done
	[ -z "$$failed" ] || { echo "Tests failed on:$$failed" >&2; exit 1; }

.PHONY: coverage
coverage: $(VENV)/.dev system-packages ## Run every test and show what they did not reach
	@$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST:$(BIN)/python%=%) $(PYTEST_FLAGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: test-cluster
test-cluster: $(VENV)/.dev system-packages ## Lose nodes of a RabbitMQ cluster under load (as root, after `make servers`)
	@server=$(or $(RABBITMQ_SERVER),$(SERVERS_HOME)/sid/bin/rabbitmq-server)
	[ -x "$$server" ] || { echo "There is no $$server: 'make servers' installs it." >&2; exit 2; }
	RABBITMQ_SERVER=$$server $(BIN)/python -m pytest tests/cluster $(PYTEST_FLAGS)

.PHONY: check-images
check-images: $(VENV)/.dev ## Build the images, look for secrets in them, and list what they are made of (needs Docker)
	@$(BIN)/python -m pytest tests/images $(PYTEST_FLAGS)

.PHONY: faults
faults: $(VENV)/.dev system-packages ## Throw faults at a whole system under load; FAULTS_FLAGS="--only NAME --seed 7"
	@$(BIN)/python -m tests.nemesis $(FAULTS_FLAGS)

.PHONY: bench
bench: $(VENV)/.dev system-packages ## Measure speed beside a tuned Dramatiq worker; wants an idle machine
	@PYTHONPATH=. $(BIN)/python -m benchmarks.drain
	@PYTHONPATH=. $(BIN)/python -m benchmarks.enqueue
	@PYTHONPATH=. $(BIN)/python -m benchmarks.lateness
	@PYTHONPATH=. $(BIN)/python -m benchmarks.start

.PHONY: check
check: $(VENV)/.dev lock-check ## Check format, lint, types, import rules and the lock files
	@export PATH="$(CURDIR)/$(BIN):$$PATH"
	set -x
	ruff format --check
	ruff check
	mypy
	lint-imports

.PHONY: format
format: $(VENV)/.dev ## Rewrite the code in the house format
	@$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

.PHONY: system-packages
system-packages: $(VENV)/.runtime
	@$(BIN)/python -c 'import sys; from tools import install_packages; sys.exit(install_packages.main())'

# --- Dependencies ---------------------------------------------------------------------------------

.PHONY: lock
lock: $(VENV)/.dev ## Write the lock files from pyproject.toml; LOCK_FLAGS=--upgrade for newer versions
	@export PATH="$(CURDIR)/$(BIN):$$PATH"
	$(RUNTIME_LOCK) >/dev/null
	$(OTEL_LOCK) >/dev/null
	$(DEV_LOCK) >/dev/null

.PHONY: lock-check
lock-check: $(VENV)/.dev
	@export PATH="$(CURDIR)/$(BIN):$$PATH"
	copy=$$(mktemp -d)
	trap 'rm -rf "$$copy"' EXIT
	cp pyproject.toml $(LOCKS) "$$copy"
	(cd "$$copy" && $(RUNTIME_LOCK) && $(OTEL_LOCK) && $(DEV_LOCK)) >/dev/null
	for file in $(LOCKS); do
	  diff -u "$$file" "$$copy/$$file" || { echo "$$file is out of date: run 'make lock'" >&2; exit 1; }
	done

$(VENV)/.created:
	@found=$$($(PYTHON) --version 2>/dev/null) || found="not there"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
	  echo "taskyard needs Python 3.11 or newer, and '$(PYTHON)' is $$found." >&2
	  echo "Name another one, such as: make PYTHON=python3.12" >&2
	  exit 1
	}
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then
	  # Debian keeps these two in a package of their own.
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	    echo "$(PYTHON) cannot make virtual environments: run 'sudo apt-get install python3-venv'." >&2
	    exit 1
	  fi
	  echo "Installing python3-venv"
	  export DEBIAN_FRONTEND=noninteractive
	  apt-get update -qq
	  apt-get install -qq --no-install-recommends python3-venv >/dev/null
	fi
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.runtime: requirements.txt pyproject.toml | $(VENV)/.created
	@echo "Installing requirements.txt into $(VENV)"
	$(PIP) --no-deps --require-hashes -r requirements.txt
	$(PIP) --no-build-isolation --no-deps -e .
	touch $@

# The runtime requirements are a subset, in the same versions.
$(VENV)/.dev: requirements-dev.txt requirements.txt pyproject.toml | $(VENV)/.created
	@echo "Installing requirements-dev.txt into $(VENV)"
	$(PIP) --no-deps --require-hashes -r requirements-dev.txt
	$(PIP) --no-build-isolation --no-deps -e .
	touch $@ $(VENV)/.runtime

.PHONY: clean
clean: ## Remove everything that make, the tools and `make run` left in this folder, data included
	@rm -rf $(VENV) .run build dist htmlcov .coverage .coverage.* \
	  .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
