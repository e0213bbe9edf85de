# make            set up, then run the default study
# make quick      set up, then three families in minutes
# make test       set up, then run all tests
# make smoke      every rule once on a tiny budget
# make help       the other targets
.PHONY: all setup test lint format quick smoke faults ui lab notebooks docs lock clean-results help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
ACTIVATE := source $(VENV)/bin/activate &&

all: setup ## Set up, then run the default study (nothing to do the second time)
	$(ACTIVATE) snakemake --cores all

setup: $(VENV)/.runtime ## Make .venv from the pinned, hash-checked lock

# A lock that changed is installed anew; an up-to-date environment costs nothing.
$(VENV)/.runtime: envs/requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("GenLab needs Python 3.11, 3.12 or 3.13, not " + sys.version.split()[0]) if not (3, 11) <= sys.version_info < (3, 14) else None'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r envs/requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: envs/test.lock $(VENV)/.runtime
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r envs/test.lock
	touch $@

test: $(VENV)/.test ## Set up, then run all tests with coverage
	$(ACTIVATE) OMP_NUM_THREADS=1 PYTHONHASHSEED=0 pytest -n 3 --dist loadfile --no-loadscope-reorder \
	  --cov --cov-report=term:skip-covered --cov-fail-under=85 $(ARGS)

lint: $(VENV)/.test ## Ruff (lint and format), mypy, snakefmt, snakemake --lint
	$(ACTIVATE) ruff check . && ruff format --check . && mypy \
	  && snakefmt --check Snakefile rules && snakemake --lint

format: $(VENV)/.test ## Bring all code into the project's format
	$(ACTIVATE) ruff check --fix . ; ruff format . && snakefmt Snakefile rules

quick: setup ## A first look: a VAE, a DDPM and flow matching, pictures and a page in minutes
	$(ACTIVATE) snakemake --cores all --configfile config/studies/quick.yaml

smoke: setup ## Every rule once, on a tiny budget
	$(ACTIVATE) snakemake --cores all --configfile config/studies/smoke.yaml

faults: setup ## Kill a study, damage its files, fill its disk; compare what it ends with
	$(ACTIVATE) python benchmarks/faults.py $(ARGS)

ui: setup ## All runs in MLflow's user interface
	$(ACTIVATE) genlab ui $(ARGS)

lab: setup ## The notebooks in JupyterLab
	$(ACTIVATE) jupyter lab --notebook-dir notebooks $(ARGS)

notebooks: setup ## Execute the notebooks on the default study's runs, in place
	$(ACTIVATE) jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb

docs: $(VENV)/.test ## Build the documentation site, docs/_build/html
	$(ACTIVATE) OMP_NUM_THREADS=1 python docs/site/build.py

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --generate-hashes --no-strip-extras --no-header \
	  --python-version 3.11 \
	  pyproject.toml -o envs/requirements.lock
	uv pip compile -q --universal --generate-hashes --no-strip-extras --no-header \
	  --python-version 3.11 --extra test \
	  -c envs/requirements.lock pyproject.toml -o envs/test.lock
	uv pip compile -q --universal --generate-hashes --no-strip-extras --no-header \
	  --python-version 3.11 --extra container \
	  -c envs/requirements.lock pyproject.toml -o envs/container.lock
	$(PYTHON) envs/conda.py > envs/genlab.yaml

clean-results: ## Delete results/ after asking
	@read -r -p "Delete everything under results/ (trained models, metrics, tracking store)? [y/N] " a \
	  && if [ "$$a" = y ]; then rm -rf results; else echo "kept"; fi

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
