# make demo and make test set up what they need by themselves (.ci/setup says what it does); a second run installs nothing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
LINT := lint-ruff lint-format lint-types lint-imports lint-proto
PYTEST_ARGS ?=

.PHONY: help demo test unit bench lint lint-steps $(LINT) clean

help:            ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo:            ## set up, then watch a real sandboxed build: compile a C program, run what came out
	@.ci/setup demo
	@$(BIN)/tvixbuild-nb demo

test:            ## set up, then run all tests (PYTEST_ARGS= adds arguments)
	@.ci/setup test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

unit:            ## the quick tests alone: no root, no runtime, no FUSE
	@.ci/setup lint
	@$(BIN)/python -m pytest tests/unit $(PYTEST_ARGS)

bench:           ## measure beside the machine's peers; the table lands in bench-results/
	@.ci/setup bench
	@mkdir -p bench-results
	@set -o pipefail; for bench in bench/*_bench.py; do $(BIN)/python $$bench || exit 1; done | tee bench-results/latest.txt

lint:            ## style, types, imports between rooms, generated files
	@.ci/setup lint
	@$(MAKE) --no-print-directory --keep-going $(LINT)

lint-steps:
	@echo $(LINT)

lint-ruff:
	$(BIN)/ruff check . .ci/binder

lint-format:
	$(BIN)/ruff format --check . .ci/binder

lint-types:
	$(BIN)/mypy

lint-imports:
	$(BIN)/lint-imports

lint-proto:
	$(BIN)/python -m pytest -q -n0 tests/unit/proto/test_generated.py

clean:           ## remove .venv, caches and results; never stores, runs or bundles
	rm -rf .venv build-out bench-results dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
