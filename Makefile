# Every target does its own set-up; the second run of each starts in seconds.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .local/stamps
UV_VERSION := 0.13.9
ADVISORIES := api.osv.dev
# A uv that answers: a shim of pyenv may be there without one behind it
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(CURDIR)/.local/uv/bin/uv)

.PHONY: help setup run up down status flush redrive dead-letters prove image clean distclean test test-redis simulate chaos mutate bench check format lock walk agree openapi configuration fuzz diagrams console pictures deploy-check zones

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

run: setup ## Start the whole system here, with demo traffic and a live top ten, until Ctrl-C
	@$(BIN)/python -m infra.local run

up: setup ## Start the whole system in the background, without demo traffic
	@$(BIN)/python -m infra.local up

down: ## Stop the system in the background; its state stays
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m infra.local down; fi

status: $(STAMPS)/venv ## Show how every process of the system is
	@$(BIN)/python -m infra.local status

flush: $(STAMPS)/venv ## Empty the cache of the running system, and nothing else; it is rebuilt from the truth
	@$(BIN)/python -m infra.local flush

redrive: $(STAMPS)/venv ## Send dead letters back to the topic: those of REASON= and LEADERBOARD=, or all
	@REASON='$(REASON)' LEADERBOARD='$(LEADERBOARD)' $(BIN)/python -m infra.local redrive

dead-letters: $(STAMPS)/venv ## Show dead letters, the newest first: those of REASON=, LEADERBOARD= and EVENT=, or all
	@REASON='$(REASON)' LEADERBOARD='$(LEADERBOARD)' EVENT='$(EVENT)' $(BIN)/python -m infra.local dead-letters

prove: $(STAMPS)/venv ## Prove the export in EXPORT= with the manifest in MANIFEST= from the ledger
	@$(BIN)/python -m infra.prove '$(EXPORT)' '$(MANIFEST)'

test: setup ## Run all tests, against real servers, two files at a time (WORKERS=2); ARGS= for a part
	@$(BIN)/python -m pytest --numprocesses $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder $(ARGS)

test-redis: export CACHE_ENGINE := redis
test-redis: setup ## Run the tests of the cache against Redis 7, its second engine; ARGS= for a part
	@$(BIN)/python -m pytest $(or $(ARGS),$(addprefix tests/,property $(addprefix integration/test_,$(addsuffix .py, \
		live_windows window_builds filters range_budget refused_writes waits queries fallback late_answers exact_answers \
		rebuild servers))))

simulate: setup ## Run the simulation over SEEDS seeds (10000) from FIRST_SEED (0) on, on all cores
	@$(BIN)/python -m tests.simulation

zones: $(STAMPS)/venv ## Check the days of every time zone against zoneinfo, at each change of its clocks
	@EVERY_ZONE=1 $(BIN)/python -m pytest -q tests/property/test_zones.py

chaos: setup ## Kill the processes of a real stack under load for SECONDS (600), KILLS (28) times, from a SEED
	@$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

openapi: $(STAMPS)/venv ## Write functions/api/openapi.json, docs/asyncapi.json and docs/api.md anew
	@$(BIN)/python -m infra.contract
	@$(BIN)/python -m infra.api_document

configuration: $(STAMPS)/venv ## Write docs/configuration.md anew
	@$(BIN)/python -m infra.configuration_document

console: ## Build the console's files into the API function (with Node.js)
	@cd infra/console && npm ci --silent && npm run build --silent

pictures: setup ## Take the pictures of the console in docs/console anew (with Chromium)
	@$(BIN)/python -m infra.console_pictures

diagrams: $(STAMPS)/venv ## Draw the diagrams of the documents whose text has changed (with Chromium)
	@$(BIN)/python -m infra.diagrams

fuzz: setup ## Ask the API EXAMPLES questions made up from its contract
	@EXAMPLES=$${EXAMPLES:-20000} $(BIN)/python -m pytest tests/integration/test_fuzz.py -q -s --timeout 0

walk: setup ## Walk a ranking of WALK_PLAYERS by cursor while half of the players move
	@WALK_PLAYERS=$${WALK_PLAYERS:-200000} $(BIN)/python -m pytest tests/integration/test_queries.py -q -k walk

agree: setup ## Compare exports, cache and oracle line by line for windows of up to PLAYERS (1000000)
	@AGREE_PLAYERS=$${PLAYERS:-1000000} $(BIN)/python -m pytest tests/integration/test_agreement.py -v --timeout 0 \
		--durations 0 --durations-min 1

mutate: setup ## Break the core in many ways and show that the tests catch each (some 30 minutes)
	@$(BIN)/python -m tests.support.mutations $(ARGS)

bench: setup ## Measure PARTS (default: all; table: beside Nakama); SIZE=1e4,1e5 of cache, SECONDS, PLAYERS of reads
	@$(BIN)/python -m infra.bench $(PARTS) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(PLAYERS),--players $(PLAYERS)) $(ARGS)

image: setup ## Build the functions' image with Docker and ask each function in it (BASE_IMAGE=, WITHOUT_ENGINE=skip)
	@$(BIN)/python -m infra.image
	@$(BIN)/python -m pytest tests/integration/test_image.py tests/integration/test_runtime.py -q -k "image"

deploy-check: $(STAMPS)/venv ## Create, compare, update and delete whole stacks in a CloudFormation here (ministack)
	@$(BIN)/python -m infra.deploy_check

check: $(STAMPS)/venv ## Lint, formatting, types, import directions, retired words, contract, advisories
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m infra.glossary
	@$(BIN)/python -m infra.contract.tools
	@if [ "$(AUDIT)" != no ] && $(BIN)/python -c 'import socket; socket.create_connection(("$(ADVISORIES)", 443), 3)' 2>/dev/null; then \
		$(BIN)/pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off \
			--requirement requirements.lock; \
	else echo "audit of dependencies skipped: AUDIT=no, or $(ADVISORIES) can't be reached"; fi

format: $(STAMPS)/venv ## Format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

setup: $(STAMPS)/venv ## Install everything that is missing
	@$(BIN)/python -m infra.local setup

clean: ## Stop the system and forget its state
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m infra.local clean; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

distclean: clean ## Forget the downloaded servers and the virtual environment, too
	@rm -rf .local $(VENV)

lock: ## Pin the dependencies of pyproject.toml anew
	@$(UV) pip compile --quiet --universal --generate-hashes --all-extras --no-header --python-version 3.11 \
		pyproject.toml -o requirements.lock

$(STAMPS)/venv: requirements.lock pyproject.toml
	@mkdir -p $(STAMPS)
	@$(UV) --version >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
			{ echo "Python 3.11 or newer is needed: set PYTHON to one"; exit 1; }; \
		echo "installing uv …"; \
		{ $(PYTHON) -m venv .local/uv >/dev/null 2>&1 && .local/uv/bin/pip install --quiet uv==$(UV_VERSION); } || \
			$(PYTHON) -m pip install --quiet --target .local/uv uv==$(UV_VERSION) || \
			{ echo "uv could not be installed: install it, or pip or python3-venv, and run it again"; exit 1; }; }
	@echo "installing the Python packages …"
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python '>=3.11,<3.15' $(VENV)
	@$(UV) pip sync --quiet --python $(VENV) requirements.lock
	@$(UV) pip install --quiet --python $(VENV) --no-deps --editable .
	@touch $@
