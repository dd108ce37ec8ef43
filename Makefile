# Every target makes .venv by itself; a second run starts at once.
PYTHON ?= python3
PORT ?= 8765
JOBS ?= logical
BIN := .venv/bin
SETUP := pyproject.toml requirements.lock

.PHONY: help demo run test check bench format docs lock
help:            ## what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /	/'

.venv/bin/pip:
	$(PYTHON) -m venv .venv

# One stamp per set of extras: run (none), demo, dev.
.venv/.run: $(SETUP) | .venv/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@touch $@
.venv/.demo: $(SETUP) | .venv/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[demo]'
	@touch $@
.venv/.dev: $(SETUP) | .venv/bin/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[demo,dev,train]'
	@touch $@ .venv/.run .venv/.demo

demo: .venv/.demo  ## the real bot in a simulated Discord, in your browser (PORT=8765, CONFIG=config.toml)
	$(BIN)/tessera demo --port $(PORT) $(if $(CONFIG),--config $(CONFIG))

run: .venv/.run  ## serve a Discord server: make run CONFIG=config.toml
	$(BIN)/tessera run $(if $(CONFIG),--config $(CONFIG))

test: .venv/.dev  ## all tests, one worker a core up to four (JOBS=0: none beside)
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist worksteal $(ARGS)

check: .venv/.dev  ## format, lint, types, import rules, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m docs.generate --check

bench: .venv/.dev  ## the figures of docs/performance.md (leave the machine alone meanwhile)
	$(BIN)/python -m benchmarks

format: .venv/.dev  ## mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.dev  ## write the generated docs anew
	$(BIN)/python -m docs.generate

lock:            ## pin what a fresh install of every extra resolves to
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet -e '.[demo,dev,safety,train]'
	build/lock/bin/pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/' > requirements.lock
