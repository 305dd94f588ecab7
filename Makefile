# `make demo` and `make test` need Python 3.11 or newer, git and make; everything else they install into .venv.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := rlcompress tests benchmarks examples

.PHONY: demo test check docs clean

demo: .venv/installed
	$(BIN)/rlcompress demo --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: .venv/test-installed
	$(BIN)/python -m pytest -n 2

check: .venv/test-installed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not slow"

docs: .venv/docs-installed
	$(BIN)/mkdocs build --site-dir site

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test-installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,export,classic]"
	touch $@

.venv/docs-installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf .venv build site *.egg-info
