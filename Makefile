# Everything runs in .venv, which each target makes when it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test lint format typecheck bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(READY)  ## stylise a handful of drawn scenes with the embedded model
	$(BIN)/styleid-ray demo --output out/demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(READY)  ## pipeline on Ray against the bare engine, on the embedded model
	$(BIN)/python jobs/benchmark.py

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .ruff_cache
