# One command each. The virtual environment is made on first use, with uv when it is there, else with pip.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
# Behind a proxy with certificates of its own, uv should trust what the system trusts, as pip does.
export UV_SYSTEM_CERTS ?= 1
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# Where Node is, the pages are built when their sources are newer; where it is not, the server says how to get them.
NODE := $(shell command -v npm 2>/dev/null)
WEB := $(if $(NODE),src/tasktide/web/index.html)
# A server is worth having without its pages.
PAGES = $(if $(NODE),$(MAKE) --silent web || echo "The web pages could not be built (see above); everything else runs." >&2)
WEB_SOURCES := $(shell find web/src web/public -type f -not -path 'web/src/gql/*') \
	$(wildcard web/*.html web/*.ts web/*.json web/*.mjs) docs/reference/schema.graphql

.PHONY: help web screenshots up stack up-distributed test check fmt clean lock docs bench bench-stack bench-peers profile soak

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

up: $(RUNTIME) ## Install if needed, then run everything in one process: http://localhost:3000
	@$(PAGES)
	@$(BIN)/tasktide up

web: src/tasktide/web/index.html ## Build the web pages (needs Node.js 20 or later)

stack: ## Install and start PostgreSQL, Kafka, RabbitMQ and Redis on this machine (deploy/native/stack says more)
	@deploy/native/stack up
	@deploy/native/stack env

up-distributed: $(DEV) ## Run every role as a process of its own on the stack, in this terminal
	@deploy/native/stack up
	@$(PAGES)
	@export $$(deploy/native/stack env) PATH="$(CURDIR)/$(BIN):$$PATH"; \
		exec $(BIN)/honcho -d . -f deploy/native/Procfile start -p $${PORT:-3000}

test: $(DEV) $(WEB) ## Run all tests, with coverage
	$(if $(NODE),cd web && npm run --silent test)
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

bench: $(DEV) ## Measure every scenario and write a dated table (ARGS="--seconds 10 --only single")
	PYTHONPATH=tests:. $(BIN)/python -m bench.run $(ARGS)

bench-stack: $(DEV) ## The same with all roles apart on the real engines, and one shard against three
	PYTHONPATH=tests:. $(BIN)/python -m bench.run --stack $(ARGS)

bench-peers: $(DEV) ## Jobs on Tasktide and its peers (taskiq, dramatiq, Celery, BullMQ) side by side
	PYTHONPATH=tests:. $(BIN)/python -m bench.peers.run $(ARGS)

profile: $(DEV) ## Flame graph of the server under a scenario (SCENARIO=single)
	PYTHONPATH=tests:. $(BIN)/python -m bench.flame $(or $(SCENARIO),single) $(ARGS)

soak: $(DEV) ## Ten minutes of load: memory and files must not grow
	SOAK_SECONDS=600 SOAK_RATE=$(or $(RATE),2000) $(BIN)/python -m pytest -k soak tests/acceptance/test_faults.py

check: $(DEV) $(WEB) ## Lint, check types and the directions of imports
	$(if $(NODE),cd web && npm run --silent check)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: $(DEV) $(WEB) ## Pictures of every page, light and dark and on a phone (needs Chromium)
	PYTHONPATH=tests $(BIN)/python -m browser.screenshots

fmt: $(DEV) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet || true
	$(BIN)/ruff format
	$(if $(NODE),cd web && npm run --silent fmt)

docs: $(DEV) ## Write the generated reference pages, the schema and the fixtures anew
	$(BIN)/tasktide config docs > docs/reference/settings.md
	$(BIN)/tasktide config schema > docs/reference/schema.graphql
	PYTHONPATH=tests $(BIN)/python -m support.live_law > web/src/live-law.json

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --group dev \
		--no-emit-package tasktide --custom-compile-command "make lock" -o requirements-dev.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 -c requirements-dev.lock \
		--custom-compile-command "make lock" -o requirements.lock pyproject.toml

clean: ## Remove what was built; the data folder stays
	rm -rf $(VENV) web/node_modules web/src/gql src/tasktide/web screenshots dist htmlcov .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

web/node_modules/.installed: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "The web pages need Node.js 20 or later (npm)." >&2; exit 1; }
	@echo "Installing what the web pages are built with ..."
	@cd web && npm install --no-save --silent
	@touch $@

src/tasktide/web/index.html: web/node_modules/.installed $(WEB_SOURCES)
	@echo "Building the web pages ..."
	@cd web && npm run --silent build >build.log 2>&1 || { cat build.log >&2; exit 1; }

# PYTHON is the interpreter to install with; unless it is set, the one that is best for it.
$(VENV)/bin/python:
	@python="$(PYTHON)"; : "$${python:=$$(python3 tools/pick_python.py $(if $(UV),,ensurepip venv))}"; \
	"$${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tasktide needs Python 3.11 or later, with venv; set PYTHON=python3.12, say." >&2; exit 1; }; \
	$(if $(UV),$(UV) venv --quiet --python "$$python" $(VENV),"$$python" -m venv $(VENV))

# The locks are complete, so nothing is left to resolve (--no-deps): pip's resolver stumbles over a hashed lock as soon as a
# newer release of what is asked for with an extra (coverage[toml]) comes out.
$(RUNTIME): $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "Installing Tasktide into $(VENV) ..."
ifdef UV
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
ifdef UV
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-dev.lock
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
endif
	@touch $@
