# One word per habit; `make` alone lists them. Nothing here needs more than a Python of 3.11 or later and make.
# Everything is installed into .venv from lock files whose every package is pinned by hash.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
CUTOFF = $(shell $(BIN)/python -c "import datetime as d; print(d.date.today() - d.timedelta(days=7))")
# Only one file of django-htmx is wanted, at build time.
UNNEEDED := --no-emit-package django --no-emit-package asgiref --no-emit-package sqlparse
COMPILE = $(UV) pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url $(UNNEEDED) --exclude-newer $(CUTOFF) --quiet

# The interpreter is the one found here; none is ever downloaded.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench eval docs lock mutate faults attacks reconcile clean

help: ## List what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: $(VENV)/.dev ## Install everything that development needs, from the lock file

demo: $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.runtime) ## See the whole story in real output, about a minute from nothing
	@$(BIN)/demur demo
	@echo '   `demur` is $(BIN)/demur here'

check: $(VENV)/.dev ## Format, lint, types, contracts and fast tests, in less than a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -m "not slow" -n auto

test: $(VENV)/.dev ## Everything; says at the end what was skipped and why
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	DEMUR_TEST_PROFILE=thorough $(BIN)/pytest -q -rs -n auto --dist loadgroup

fix: $(VENV)/.dev ## Format, and repair what can be repaired by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## Speed beside that of peers, in one run
	$(BIN)/python bench

eval: $(VENV)/.dev ## Real tool calls of agents, and attacks on them, through the gate
	$(BIN)/python examples/agentdojo

faults: $(VENV)/.dev ## Kills, failing calls, power cuts, stopped databases: what is lost? Goes on where it stopped; hours
	$(BIN)/python -m tests.faults --out .faults all

docs: $(VENV)/.dev ## Renew what documents copy from the program, then run every example in them
	$(BIN)/python tests/docs/generate.py
	$(BIN)/demur schema > docs/policy.schema.json
	$(BIN)/python tests/docs/renew.py README.md docs/guides/*.md
	$(BIN)/pytest -q tests/docs

reconcile: $(VENV)/.dev ## Bypasses in 1,000 histories, 100,000 honest executions, and how fast ledgers are compared
	DEMUR_SEEDS=1000 DEMUR_HONEST=100000 $(BIN)/pytest -q tests/evaluation/test_reconcile.py
	$(BIN)/python tests/evaluation/speed.py 1000000

mutate: $(VENV)/.dev ## Mutation tests of the decision, the grants, the conditions, the refusals and the remedies
	$(BIN)/python tests/mutation.py

attacks: $(VENV)/.dev ## Attack exports of the ledger in every way of docs/attacks.md, and write that table; long
	$(BIN)/python -m tests.ledger

lock: $(UV) ## Renew the lock files, with a cool-down of one week
	$(COMPILE) --upgrade --all-extras --group check --group test --group mutation --group bench -o requirements-dev.lock
	$(COMPILE) --upgrade --extra server -c requirements-dev.lock -o requirements.lock
	$(COMPILE) --extra server --extra postgres --extra anchor -c requirements-dev.lock -o deploy/requirements.lock

clean: ## Remove what was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis mutants dist

# ---- the environment ----

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or later; found $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# uv's own lines of the lock file, hashes included: pip installs just them.
$(UV): | $(BIN)/python
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.txt || echo "uv is not available here; pip does its work, more slowly"

# Editable installs are built by the locked hatchling, so that nothing without a hash is fetched.
define install
	@if test -x $(UV); then \
	  VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes $(1) && \
	  VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --offline -e .; \
	else \
	  $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(1) && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
endef

$(VENV)/.runtime: requirements.lock pyproject.toml | $(UV)
	$(call install,requirements.lock)

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(UV)
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.runtime
