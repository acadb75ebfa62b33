# The words of this repository. `make help` prints what stands behind each `##`.
#
# MODELYARD_IMAGES  auto | build | pull: how the test cluster comes by images (tests/cluster); build never pulls one.
# MODELYARD_CACHE   what outlives a checkout: programs, images' parts, uv.
# MODELYARD_CLUSTER modelyard | modelyard-tests: the cluster of cluster and images; demo, test, e2e and bench have theirs.
# PYTHON            another interpreter, with an environment of its own: make unit PYTHON=python3.13
# ARGS              further arguments of pytest: make unit ARGS='-k names -x'

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

MODELYARD_CACHE ?= $(HOME)/.cache/modelyard
MODELYARD_IMAGES ?= auto
export MODELYARD_CACHE MODELYARD_IMAGES

# Compiled once: the tests start hundreds of processes that import MLflow and XGBoost, and a fresh clone at the same place finds them again.
# Some machines set the other variable, with which each of them compiles everything.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(MODELYARD_CACHE)/bytecode

PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,$(MODELYARD_CACHE)/venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
ARGS ?=

# What needs less comes first: a broken name shows before a cluster is waited for. tests/house sees to it that no folder is forgotten.
ORDER := unit house site story golden cli cluster api client contract engine chart gitops runtime demo notebook e2e
TESTS := $(patsubst %/,%,$(wildcard $(ORDER:%=tests/%/)))
QUICK := $(wildcard tests/unit tests/golden tests/house tests/story)
SOURCES := operator docs/conf.py docs/written.py docs/how-to/files $(wildcard tests)

# $(call step,words,command): says what is done, does it, says how long it took.
step = @printf '%s  %s\n' "$$(date +%T)" '$(1)'; start=$$SECONDS; $(2); printf '%s  %s: %s s\n' "$$(date +%T)" '$(1)' "$$((SECONDS - start))"

# A cluster of their own: whatever the tests do, the demo's objects stay as they are.
test e2e bench: export MODELYARD_CLUSTER := modelyard-tests
demo demo-down: export MODELYARD_CLUSTER := modelyard

.PHONY: help venv check lint types imports generated house site docs programs manifests unit test e2e demo demo-down bench crds cluster images down clean

help: ## print this
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do printf '  %-10s %s\n' "$${line%%:*}" "$${line#*## }"; done

venv: $(STAMP)
$(STAMP): pyproject.toml uv.lock .ci/venv
	@.ci/venv $(VENV) $(PYTHON)
	@touch $@

check: lint types imports generated house site manifests ## lint, types, import contracts, generated files, API lint, documentation, chart and manifests

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

docs: $(STAMP) ## build the documentation's site: dist/docs/index.html
	$(call step,Documentation,$(BIN)/sphinx-build -q -E -W --keep-going -d .cache/doctrees docs dist/docs)

programs: $(STAMP)
	$(call step,kubectl and helm,$(BIN)/python -m tests.cluster tools kubectl helm >/dev/null)

manifests: $(STAMP) programs
	$(call step,Chart and manifests,$(BIN)/pytest -q -m 'not api and not contract and not e2e' tests/chart $(ARGS))

unit: $(STAMP) ## the tests that need nothing but Python: under a minute
	@$(BIN)/pytest -q $(QUICK) $(ARGS)

test: $(STAMP) images ## all tests, from nothing: makes their cluster and the images first
	@.ci/test $(BIN)/pytest $(TESTS) $(ARGS)

e2e: $(STAMP) images ## only the tests on the real cluster
	@$(BIN)/pytest tests/e2e $(ARGS)

demo: $(STAMP) ## the whole story on a real cluster, with MLflow and MinIO
	@$(BIN)/python -m tests.demo up

demo-down: $(STAMP) ## remove what the demo made
	@$(BIN)/python -m tests.demo down

bench: $(STAMP) images ## measure, and write docs/benchmarks.md
	@.ci/venv $(VENV) $(PYTHON) --group peers
	@$(BIN)/python -m tests.bench

crds: $(STAMP) ## write every generated file: crds/, the chart's CRDs and rules, manifests/, docs/conditions.md, docs/reference/
	@for each in crds rbac docs; do PYTHONPATH=operator $(BIN)/python -m modelyard $$each --write; done
	@$(BIN)/python -m tests.chart.manifests --write

cluster: $(STAMP) ## bring the demo's cluster up; does nothing when it is
	$(call step,Cluster,$(BIN)/python -m tests.cluster up)

images: $(STAMP) ## the same, with the images of this checkout in it
	$(call step,Cluster and images,$(BIN)/python -m tests.cluster ready)

down: $(STAMP) ## delete the clusters of demo and tests; what they were built from stays cached
	@$(BIN)/python -m tests.cluster down

clean: ## remove the environment and what tools left behind; the cache and the clusters stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
