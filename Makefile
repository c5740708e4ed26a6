# make install, make demo, make test, make lint: each sets up what it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: install demo test test-slow test-reliability lint format house docs package bench clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bpkd needs Python 3.11 or newer; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,tensorboard]'
	touch $@

demo: install
	$(BIN)/bpkd demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile -m "not reliability"

test-reliability: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s -m "reliability or not reliability" tests/reliability

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

house: install
	$(BIN)/python -m tools.house --write

docs: install
	$(BIN)/python -m tools.pages --write
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

bench: install
	$(BIN)/python -m benchmarks.boundary
	$(BIN)/python -m benchmarks.methods
	$(BIN)/python -m benchmarks.data

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist site
