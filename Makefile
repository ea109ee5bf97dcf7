# Two commands matter: `make demo` runs the main job, `make test` the tests; both set up .venv first.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export NO_MKDOCS_2_WARNING := 1
PYTHONS := python3 python3.13 python3.12 python3.11

.PHONY: demo test check bench docs evidence

demo: $(VENV)/.plaudit-demo
	$(BIN)/plaudit run recipes/demo.yaml

test: $(VENV)/.plaudit-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.plaudit-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.plaudit-bench
	set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

docs: $(VENV)/.plaudit-dev
	$(BIN)/python docs/api_pages.py
	$(BIN)/mkdocs build --strict

evidence: $(VENV)/.plaudit-demo
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/plaudit lab run all --folder docs/evidence
	$(BIN)/plaudit lab evidence --folder docs/evidence --out docs/evidence.md

# The stamps make each installation happen once, and again when what it reads has changed.
$(VENV)/.plaudit-demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.plaudit-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.plaudit-demo

$(VENV)/.plaudit-bench: $(VENV)/.plaudit-dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,bench]'
	@touch $@

$(VENV)/bin/python:
	@set -e; for python in $(PYTHONS); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$($$python --version)"; \
	    $$python -m venv $(VENV) || { echo "make: error: $$python has no venv module; install it (Debian: apt install python3-venv)" >&2; rm -rf $(VENV); exit 2; }; \
	    exit 0; \
	  fi; \
	done; \
	echo "make: error: no Python >= 3.11 among $(PYTHONS); install one and run make again" >&2; exit 2
