# make study = install and run the demo; make check = what continuous integration runs.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first of the two supported interpreters that starts (a pyenv shim may exist and not start).
FIND_PYTHON := for p in python3.12 python3.11; do \
	if $$p -c "" >/dev/null 2>&1; then echo $$p; break; fi; done
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help setup format lint types test slow check validity chaos scale docs study clean

help:
	@echo "make setup | format | lint | types | test | slow | check | validity | chaos | scale | docs | study | clean"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "Foldstack needs python3.12 or python3.11 on the PATH." >&2; exit 2; fi; \
	test -x $(BIN)/python || $$python -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

test: setup
	$(BIN)/python -m pytest -q -n 2

slow: setup
	$(BIN)/python -m pytest -q -m slow

check: lint types test

# Are reported scores true? DATA is a folder of tables, see benchmarks/validity.py; resumable, up to an hour.
validity: setup
	$(BIN)/python -m benchmarks.validity --set all --data $(DATA) --out runs/validity

# Does a study survive what can happen to it? Up to half an hour; docs/reliability.md has the table.
chaos: setup
	$(BIN)/python -m benchmarks.chaos

# How do time and memory grow with rows, trials and workers? Half an hour on a quiet machine; docs/scale.md has the tables.
scale: setup
	$(BIN)/python -m benchmarks.scale --out runs/scale

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -f .mkdocs.yml

study: setup
	$(BIN)/python -m search.run study --demo breast_cancer

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
