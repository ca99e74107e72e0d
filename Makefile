# Two commands on a fresh machine with Python 3.11 or newer and make: `make up` and `make test`.
# Each may be the first one ever called and may be called again. Set-up lives in scripts/, one file a subject.

.DEFAULT_GOAL := help
.PHONY: help development setup up down test check bench figures docs fmt lock clean

PY := scripts/python.sh
BIN := .venv/bin
ARGS ?=
export PYTHON

help: ## This list
	@echo "Claviger: keeps the keys. Usage: make TARGET"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Set up for running: Python environment, local names
	@$(PY) -m scripts.environment running
	@$(PY) -m scripts.names

up: setup ## Set everything up, start the server in the background, print what to paste next
	@$(BIN)/claviger start $(ARGS)

down: ## Stop the server that `make up` started
	@if [ -x $(BIN)/claviger ]; then $(BIN)/claviger stop; else echo "Nothing is set up here, so nothing runs."; fi

development: # what checks need
	@$(PY) -m scripts.environment development

test: development ## Set everything up, PostgreSQL and Node included, then all checks and all tests
	@$(PY) -m scripts.names
	@$(PY) -m scripts.system tests
	@$(BIN)/python -m scripts.check --static
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: development ## Style, types, arrows and unit tests, in under a minute
	@$(BIN)/python -m scripts.check

bench: development ## Speed and memory as ratios, measured on this machine
	@$(PY) -m scripts.names
	@$(PY) -m scripts.system bench
	@$(BIN)/python -m bench $(ARGS)

figures: development ## Trials by crash, clock, hostile input and search for leaks (ARGS=--quick for the short size)
	@$(PY) -m scripts.names
	@$(BIN)/python -m figures $(ARGS)

fmt: development ## Format, and mend what can be mended by itself
	@$(BIN)/python -m ruff check --quiet --fix-only; $(BIN)/python -m ruff format

docs: development ## Draw the pages that come from the code: commands and states
	@$(BIN)/python -m scripts.document

lock: development ## Write the lock files anew (ARGS=--upgrade for the newest versions)
	@$(BIN)/python -m scripts.lock $(ARGS)

clean: ## Remove all that was set up here; the data in .claviger stays
	@$(MAKE) --silent down || true
	rm -rf .venv tests/clients/js/node_modules tests/clients/ocicli/.venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
