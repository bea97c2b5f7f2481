# Everything runs in .venv, which each target makes when it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# PyTorch's default wheel, which has CUDA, in an environment of its own. Another version than in
# constraints.txt: of that one, pip may be given a build for the CPU.
CUDA_TORCH ?= torch==2.14.1
CUDA_VENV := .venv-cuda
CUDA_BIN := $(CUDA_VENV)/bin
CUDA_READY := $(CUDA_VENV)/.ready

.PHONY: setup demo test test-cluster test-hosts test-slurm test-s3-server test-gpu test-fake-cuda chaos chaos-ci lint format typecheck bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(READY)  ## stylise a handful of drawn scenes with the embedded model
	$(BIN)/styleid-ray demo --output out/demo

# Test modules side by side: much of their time is starting processes.
WORKERS ?= 2
test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-cluster: $(READY)  ## job server, many nodes and drivers, growth, metrics, logs: minutes of starting Ray
	$(BIN)/python -m pytest -m cluster -n $(WORKERS) --dist loadfile

test-hosts: $(READY)  ## root alone: a job on hosts of their own (network namespaces), some of them lost
	$(BIN)/python -m pytest -m hosts tests/hosts

test-slurm: $(READY)  ## root and slurm-wlm: a job that its time limit stops and that queues itself again
	$(BIN)/python -m pytest -m slurm tests/deploy

test-s3-server: $(READY)  ## what needs an object store, before Debian's radosgw in place of moto
	$(BIN)/python -m tests.s3_server $(BIN)/python -m pytest -m "s3 and not chaos"

test-gpu: $(READY)  ## on a machine with a GPU: parity, precisions, stores, out of memory for real
	$(BIN)/python -m tests.gpu

test-fake-cuda: $(CUDA_READY)  ## without a GPU: whole calls on tensors that pretend to be on one
	$(CUDA_BIN)/python -m pytest -m fake_cuda -n $(WORKERS) tests/fake_cuda

$(CUDA_READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(CUDA_VENV)
	grep -v '^torch==' constraints.txt > $(CUDA_VENV)/constraints.txt
	$(CUDA_BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
		-c $(CUDA_VENV)/constraints.txt \
		"$(CUDA_TORCH)" diffusers transformers safetensors numpy pillow psutil pydantic pytest pytest-xdist
	touch $@

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
	rm -rf $(VENV) $(CUDA_VENV) build dist out *.egg-info .pytest_cache .ruff_cache
