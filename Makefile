# The targets of this repository. `make help` prints the text after each `##`.
#
# MODELYARD_IMAGES  auto | build | pull: where the test cluster's images come from (tests/cluster); build never pulls one.
# MODELYARD_CACHE   the cache that checkouts share: programs, parts of images, uv.
# MODELYARD_CLUSTER modelyard | modelyard-tests: the cluster for `cluster` and `images`; demo, test, e2e and bench set their own.
# PYTHON            another interpreter, with an environment of its own: make unit PYTHON=python3.13
# ARGS              further arguments for pytest: make unit ARGS='-k names -x'

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

MODELYARD_CACHE ?= $(HOME)/.cache/modelyard
MODELYARD_IMAGES ?= auto
export MODELYARD_CACHE MODELYARD_IMAGES

# Bytecode is compiled once: the tests start hundreds of processes that import MLflow and XGBoost, and a fresh clone in the same folder reuses
# it. Some machines set PYTHONDONTWRITEBYTECODE, with which every process compiles everything.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(MODELYARD_CACHE)/bytecode

PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,$(MODELYARD_CACHE)/venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
ARGS ?=

# Tests with fewer requirements come first, so that a broken name fails before a cluster is needed. tests/house checks that no folder is missing.
ORDER := unit house site story golden cli cluster api client contract engine chart gitops runtime demo notebook e2e
TESTS := $(patsubst %/,%,$(wildcard $(ORDER:%=tests/%/)))
QUICK := $(wildcard tests/unit tests/golden tests/house tests/story)
SOURCES := operator docs/conf.py docs/written.py docs/how-to/files $(wildcard tests)

# $(call step,words,command): print the words, run the command, print the time.
step = @printf '%s  %s\n' "$$(date +%T)" '$(1)'; start=$$SECONDS; $(2); printf '%s  %s: %s s\n' "$$(date +%T)" '$(1)' "$$((SECONDS - start))"

# A cluster of their own: the tests never change the demo's objects.
test e2e bench: export MODELYARD_CLUSTER := modelyard-tests
demo demo-down: export MODELYARD_CLUSTER := modelyard

.PHONY: help venv check lint types imports generated house site docs programs manifests unit test e2e demo demo-down bench crds cluster images down clean

help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do printf '  %-10s %s\n' "$${line%%:*}" "$${line#*## }"; done

venv: $(STAMP)
$(STAMP): pyproject.toml uv.lock .ci/venv
	@.ci/venv $(VENV) $(PYTHON)
	@touch $@

check: lint types imports generated house site manifests ## check lint, types, import contracts, generated files, API, documentation, chart, manifests

lint: $(STAMP)
	$(call step,Lint and format,$(BIN)/ruff check --quiet $(SOURCES); $(BIN)/ruff format --quiet --check $(SOURCES))

types: $(STAMP)
	$(call step,Types,$(BIN)/mypy --no-error-summary)

imports: $(STAMP)
	$(call step,Import contracts,$(BIN)/lint-imports)

generated: $(STAMP)
	$(call step,Generated files,for each in "modelyard crds" "modelyard rbac" "modelyard docs" tests.gitops.customizations; do PYTHONPATH=operator $(BIN)/python -m $$each --check; done)

house: $(STAMP)
	$(call step,House rules and API lint,$(BIN)/pytest -q tests/house $(ARGS))

site: $(STAMP)
	$(call step,Documentation,$(BIN)/pytest -q tests/site $(ARGS))

docs: $(STAMP) ## build the documentation: dist/docs/index.html
	$(call step,Documentation,$(BIN)/sphinx-build -q -E -W --keep-going -d .cache/doctrees docs dist/docs)

programs: $(STAMP)
	$(call step,kubectl and helm,$(BIN)/python -m tests.cluster tools kubectl helm >/dev/null)

manifests: $(STAMP) programs
	$(call step,Chart and manifests,$(BIN)/pytest -q -m 'not api and not contract and not e2e' tests/chart $(ARGS))

unit: $(STAMP) ## run the tests that only need Python: under a minute
	@$(BIN)/pytest -q $(QUICK) $(ARGS)

test: $(STAMP) images ## run all tests on a cluster of their own: about 40 minutes, on a new machine under 60
	@.ci/test $(BIN)/pytest $(TESTS) $(ARGS)

e2e: $(STAMP) images ## run only the tests on the real cluster
	@$(BIN)/pytest tests/e2e $(ARGS)

demo: $(STAMP) ## run the demo on a real cluster with MLflow and MinIO: about 2.5 minutes, on a new machine 12 to 14
	@$(BIN)/python -m tests.demo up

demo-down: $(STAMP) ## remove the demo's release and objects
	@$(BIN)/python -m tests.demo down

bench: $(STAMP) images ## run the benchmarks and write docs/benchmarks.md
	@.ci/venv $(VENV) $(PYTHON) --group peers
	@$(BIN)/python -m tests.bench

crds: $(STAMP) ## write every generated file: crds/, the chart's CRDs and rules, manifests/, docs/conditions.md, docs/reference/
	@for each in crds rbac docs; do PYTHONPATH=operator $(BIN)/python -m modelyard $$each --write; done
	@$(BIN)/python -m tests.chart.manifests --write

cluster: $(STAMP) ## bring up the demo's cluster, if it is not running
	$(call step,Cluster,$(BIN)/python -m tests.cluster up)

images: $(STAMP) ## bring up the demo's cluster and load the images of this checkout
	$(call step,Cluster and images,$(BIN)/python -m tests.cluster ready)

down: $(STAMP) ## delete the clusters of demo and tests; the cache stays
	@$(BIN)/python -m tests.cluster down

clean: ## remove the virtual environment and tool caches; the shared cache and the clusters stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
