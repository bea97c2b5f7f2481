# Everything runs in .venv, which each target makes when it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-cluster test-hosts test-s3-server chaos chaos-ci lint format typecheck bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(READY)  ## stylise a handful of drawn scenes with the embedded model
	$(BIN)/styleid-ray demo --output out/demo

test: $(READY)
	$(BIN)/python -m pytest

test-cluster: $(READY)  ## job server, many nodes and drivers, growth, metrics, logs: minutes of starting Ray
	$(BIN)/python -m pytest -m cluster

test-hosts: $(READY)  ## root alone: a job on hosts of their own (network namespaces), some of them lost
	$(BIN)/python -m pytest -m hosts tests/hosts

test-s3-server: $(READY)  ## what needs an object store, before Debian's radosgw in place of moto
	$(BIN)/python -m tests.s3_server $(BIN)/python -m pytest -m "s3 and not chaos"

# What is killed when follows from the seed: make chaos KILLS=300 SEED=7
KILLS ?= 300
chaos: $(READY)  ## whole jobs whose processes, nodes and drivers are killed
	STYLEID_RAY_CHAOS_KILLS=$(KILLS) STYLEID_RAY_CHAOS_SEED=$(SEED) \
		$(BIN)/python -m pytest -s -x -m chaos tests/chaos

chaos-ci: $(READY)
	$(MAKE) chaos KILLS=30

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint deploy/Dockerfile

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(READY)  ## every claim about speed and memory, measured
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .ruff_cache
