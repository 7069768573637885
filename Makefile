# Everything sets itself up in .venv on a machine that has only Python 3.11 and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slow lint format types imports bench docs wheel check clean

demo: $(VENV)/.core ## the sixty-second tour, on attempts that ship with the package
	$(BIN)/twiceshy demo

test: $(VENV)/.dev ## the test suite, doctests and every code block of the documentation included
	$(BIN)/python -m pytest -q -n 2

slow: $(VENV)/.dev ## the tests that take minutes as well
	$(BIN)/python -m pytest -q -n 2 --slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.dev ## strict types, and a canary that must not pass
	$(BIN)/pyrefly check
	$(BIN)/python tests/type_canary.py

imports: $(VENV)/.dev ## the layers of the design
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## ratios against a named peer or a floor, each in one run
	$(BIN)/python bench/run.py

docs: $(VENV)/.dev ## regenerate what is generated: command help and JSON schema
	$(BIN)/python docs/generate.py

wheel: $(VENV)/.dev ## build the wheel and use it from an empty environment
	$(BIN)/python tests/wheel_check.py

check: lint types imports test wheel

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) torch==2.13.0
	$(PIP) --editable ".[embed,hf,inspect,openai,ray,reasoning-gym,textworld,torch,trl,zstd]" --group dev --group verl
	$(PIP) --no-deps verl TransferQueue # verl asks for an older transformers; its CPU parts run with ours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/verl-oldest verl==0.9.0
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) dist build .ruff_cache .hypothesis .import_linter_cache
