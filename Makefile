PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format typecheck bench clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(VENV)/.installed  ## create .venv and install everything (once)

# A half-finished installation has no .installed mark and is tried again. By `compat` the clone is on the
# path itself: otherwise its folder, which has the package's name, hides it from scripts beside it.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "BACL needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --progress-bar off \
		--config-settings editable_mode=compat -e '.[dev,tensorboard,timm,export]'
	@touch $@

demo: setup      ## train both stages on the built-in data on a CPU, print and draw the result
	$(BIN)/python run.py +experiment=bacl_demo

# Two workers on one core each: with a thread per core in both they wait for each other. What Python
# has compiled is kept, whatever the environment says: the tests start many processes. Files in the order
# of their names: the last ones are quick, so that neither worker waits long for the other.
test test-all: export OMP_NUM_THREADS = 1
test test-all: export PYTHONDONTWRITEBYTECODE =

test: setup      ## the default tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: setup  ## the default and the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'slow or not slow'

lint: setup      ## style of every file
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: setup    ## bring every file into style
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

typecheck: setup ## types of the package
	$(BIN)/mypy

bench: setup     ## speed and memory against the libraries
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:           ## remove caches, keep .venv, data and runs
	rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info
