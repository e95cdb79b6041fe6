# `make tables` and `make test` need Python 3.11+ and make, nothing else: they create .venv first.
#   WORKERS=4 make test            runs the tests in four processes
#   PYTHON=python3.12 make test    picks another Python (constraints.txt was tested on 3.11)
#   make test-lowest TESTS=tests/test_config.py    runs some of the tests

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
WORKERS ?= 2
# Each process has one thread of torch; tests that are about threads ask for theirs.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup
SEEDS ?= 20

.PHONY: tables test test-all test-lowest test-newest test-torch bench check campaign lint format types layers quick pages docs clean

tables: .venv/installed  ## Tables 1 and 2 of the report, minifw beside PyTorch, in runs/
	$(BIN)/minifw compare --seeds $(SEEDS)

test: .venv/installed  ## every claim once, warnings as errors
	$(PYTEST) -m "not slow"

test-all: .venv/installed  ## the larger looks at the same claims too: half an hour
	$(PYTEST)

test-lowest: .venv-lowest/installed  ## all tests with the lowest versions that pyproject.toml promises
	.venv-lowest/bin/python -m pytest $(TESTS)

test-newest: .venv-newest/bin/python  ## all tests with the newest of today; torch is the one of constraints.txt
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	  "$$(grep '^torch==' constraints.txt)" --editable '.[dev,bench]'
	.venv-newest/bin/python -m pytest $(TESTS)

TORCH ?= 2.14.1
COMPILED := tests/test_compile.py tests/test_record.py tests/test_compiled.py tests/test_functions.py

test-torch: .venv-torch/bin/python  ## what records and compiles, with another torch: make test-torch TORCH=2.14.1
	.venv-torch/bin/python -m pip install --quiet 'torch==$(TORCH)' --editable '.[dev]'
	.venv-torch/bin/python -m pytest -m "not slow" $(COMPILED)

bench: .venv/installed  ## a training step beside PyTorch and JAX, in benchmarks/: some minutes
	$(BIN)/minifw bench

check: lint types layers docs test quick  ## all that must hold before a commit

docs: .venv/installed  ## the documentation as a site, in site/; needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

pages: .venv/installed  ## what docs/ quotes of the code: the keys of a config, the commands' help
	$(BIN)/python docs/pages.py
	$(BIN)/python docs/modules.py

campaign: .venv/installed  ## the long tests of tests/campaigns/: what docs quote, minutes
	for script in tests/campaigns/[a-z]*.py; do (cd tests && ../$(BIN)/python -m campaigns.$$(basename $$script .py)) || exit 1; done

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/installed
	$(BIN)/mypy

layers: .venv/installed
	$(BIN)/lint-imports

# That the benchmark works; its figures are thrown away.
quick: .venv/installed
	$(BIN)/minifw bench --quick --out .venv/benchmarks

.venv/installed: pyproject.toml constraints.txt .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench,docs]'
	touch $@

.venv-lowest/installed: pyproject.toml constraints-lowest.txt .venv-lowest/bin/python
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[dev,bench]'
	touch $@

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "minifw needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try PYTHON=/path/to/python3.11 make"; exit 2; }
	$(PYTHON) -m venv $*

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-torch .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache site
