# MoE-DSR. `make sweep` leads from a fresh clone to a table of results; `make help` lists the rest.
#
# Set-up happens by itself, once: each stage leaves a stamp in .venv only after it has succeeded, so an interrupted
# set-up goes on where it stopped and a second `make` finds nothing to do.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sweep test lint bench ui setup clean

SWEEP ?= sweeps/quickstart.yaml
ARGS ?=
# Where pip looks for torch besides its usual index; empty: what pip is set up with
TORCH_INDEX ?=
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
PY := $(VENV)/bin/python
LOG := $(VENV)/setup.log
WHEELS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/moedsr/wheels
# commas would part the arguments of a call
PROJECT := .[test,lint,jobs,md]
pinned = $(shell sed -n 's/^$(1)==/$(1)==/p' constraints.txt)
pip = $(PY) -u -m pip --disable-pip-version-check --no-input

help:  ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  SWEEP=FILE.yaml   another sweep than $(SWEEP)"
	@echo "  ARGS='...'        more arguments for the sweep, the tests, the benchmarks or the UI"
	@echo "  PYTHON=...        the Python (3.11 or newer) that .venv is made with"
	@echo "  TORCH_INDEX=URL   a further index for torch, such as https://download.pytorch.org/whl/cpu"
	@echo "  MAX_JOBS=N        compilers that run at once while torch-cluster is built"

sweep: $(VENV)/.ready  ## set up, run the quickstart sweep, show its result
	@$(VENV)/bin/moedsr sweep $(SWEEP) $(ARGS)

test: $(VENV)/.ready  ## set up, run the tests
	@$(PY) -m pytest $(ARGS)

lint: $(VENV)/.ready  ## ruff (rules and format) and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: $(VENV)/.ready  ## measure speed and memory
	@$(PY) -m pytest -m benchmark -s tests/benchmarks $(ARGS)

ui: $(VENV)/.ready  ## open the tracking UI on the results
	@$(VENV)/bin/moedsr ui $(ARGS)

setup: $(VENV)/.ready  ## only set up

clean:  ## remove .venv and tool caches; results and the built torch-cluster stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up ---------------------------------------------------------------------------------------------------------

# All of a tool's output goes to the log; the terminal gets large downloads, build progress, warnings that matter, errors
define MODEST
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its input
parts = 0
for line in sys.stdin:
    if large := re.search(r"Downloading (?:\S*/)?(\S+?)-(\d[^-\s]*)\S* \((\d+\.?\d*) ([MG])B\)", line):
        name, version, size, unit = large.groups()
        if unit == "G" or float(size) >= 20:
            print(f"      downloading {name} {version} ({size} {unit}B)", flush=True)
    elif part := re.search(r"building 'torch_cluster\._(\w+)_(?:cpu|cuda)' extension", line):
        parts += 1
        print(f"      part {parts} of 9: {part[1]}", flush=True)
    elif re.search(r"^\s*(ERROR:|error:|fatal)|: (fatal )?error:|Killed", line):
        print("     ", line.strip(), flush=True)
endef
export MODEST

# What the built wheel depends on: torch with its local version, Python, machine, and whether CUDA kernels are in it.
# CUDA kernels need a GPU and an nvcc of torch's own major version; FORCE_CUDA=1 asks for them where no GPU is at hand.
define FLAVOUR
import os, platform, re, subprocess, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
cuda = bool(torch.version.cuda) and torch.cuda.is_available() and CUDA_HOME is not None
if cuda:
    found = re.search(r"release (\d+)", subprocess.run([f"{CUDA_HOME}/bin/nvcc", "--version"], capture_output=True, text=True).stdout)
    cuda = found is not None and found[1] == torch.version.cuda.split(".")[0]
cuda = cuda or os.environ.get("FORCE_CUDA") == "1"
print("cuda" if cuda else "cpu", f"torch-{torch.__version__}-{sys.implementation.cache_tag}-{platform.machine()}")
endef
export FLAVOUR

modestly = $(1) 2>&1 | tee -ia $(LOG) | $(PY) -u -c "$$MODEST" \
	|| { echo "set-up failed at this step; the end of $(LOG):"; tail -n 12 $(LOG); exit 1; }

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed, found $$(python3 --version 2>/dev/null || echo none):" \
		"install it, or name it with make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "PYTHON=$(PYTHON) is" \
		"$$($(PYTHON) --version 2>/dev/null || echo 'no Python that runs'), but must be 3.11 or newer"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks its venv module:" \
		"install it (Debian, Ubuntu: apt install python3-venv)"; exit 2; }
	@compgen -G "$(WHEELS)/*/*.whl" >/dev/null || { echo 'int main() {}' \
		| $${CXX:-c++} -x c++ -fsyntax-only - 2>/dev/null || { echo "a C++ compiler is needed to build torch-cluster," \
		"but $${CXX:-c++} does not run: install one (Debian, Ubuntu: apt install g++), or set CXX"; exit 2; }; \
		$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
		|| { echo "$(PYTHON) lacks its C headers: install them (Debian, Ubuntu: apt install python3-dev)"; exit 2; }; }
	@echo "set-up, once; the full log is $(LOG)"
	@echo "  1/4 virtual environment in $(VENV), with $$($(PYTHON) --version) (seconds)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.torch: constraints.txt | $(VENV)/.made
	@echo "  2/4 $(call pinned,torch) and numpy (1-5 minutes, mostly download)"
	@$(call modestly,$(pip) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		$(foreach name,torch numpy scipy setuptools wheel ninja,$(call pinned,$(name))))
	@touch $@

# pip's own cache of built wheels does not know which torch a wheel was built against: --no-cache-dir
$(VENV)/.torch-cluster: $(VENV)/.torch
	@read -r flavour key <<<"$$($(PY) -c "$$FLAVOUR")"; \
	folder="$(WHEELS)/$$key-$$flavour"; \
	if ! compgen -G "$$folder/torch_cluster-$(subst torch-cluster==,,$(call pinned,torch-cluster))-*.whl" >/dev/null; then \
		kb=$$(awk '/MemAvailable/ {print $$2}' /proc/meminfo 2>/dev/null || true); \
		cores=$$(getconf _NPROCESSORS_ONLN); fit=$$(( $${kb:-4000000} / 2000000 )); \
		jobs=$${MAX_JOBS:-$$(( fit < 1 ? 1 : fit < cores ? fit : cores ))}; \
		echo "  3/4 $(call pinned,torch-cluster), compiled once for $$key, $$flavour, with $$jobs jobs (6-11 minutes on 2 cores)"; \
		mkdir -p "$$folder"; build=$$(mktemp -d "$$folder/build.XXXXXX"); trap 'rm -rf "$$build"' EXIT; \
		export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" MAX_JOBS="$$jobs"; \
		if [ "$$flavour" = cpu ]; then export FORCE_ONLY_CPU=1; fi; \
		$(call modestly,$(pip) wheel -v --no-cache-dir --no-deps --no-build-isolation \
			--wheel-dir "$$build" $(call pinned,torch-cluster)); \
		mv "$$build"/*.whl "$$folder/"; \
	else echo "  3/4 $(call pinned,torch-cluster) for $$key, $$flavour, as built before"; fi; \
	$(call modestly,$(pip) install --no-deps --force-reinstall "$$folder"/torch_cluster-*.whl); \
	$(PY) -c 'import torch_cluster' >>$(LOG) 2>&1 || { \
		echo "torch-cluster from $$folder does not load (see $(LOG)): remove that folder, then run make again"; exit 1; }
	@touch $@

$(VENV)/.ready: pyproject.toml constraints.txt $(VENV)/.torch-cluster
	@echo "  4/4 the rest, as pinned in constraints.txt (1-3 minutes)"
	@$(call modestly,$(pip) install -c constraints.txt --no-build-isolation -e "$(PROJECT)")
	@touch $@
	@echo "set-up done"
