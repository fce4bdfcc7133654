# All set-up happens in .venv; nothing else is needed than Python 3.11+, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin
RESULTS := results
CONFIG ?= config.yaml
export PYTHONUNBUFFERED := 1
# Snakemake keeps a cache in the user's home; it ends with a traceback where that cannot be written.
ifneq ($(shell cache="$${XDG_CACHE_HOME:-$$HOME}"; test -d "$$cache" -a -w "$$cache" && echo yes),yes)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif

.PHONY: help run plan export verify compare publish env dev test test-slurm bench gpu-check lint format docs lock schema clean

help:
	@echo "make run     run the default grid (config.yaml), build the report, print the main result"
	@echo "make plan    what CONFIG=config/paper.yaml would take: jobs, disk space, hours"
	@echo "make export  pack RESULTS into ARCHIVE (CHECKPOINTS=1: with models)   make verify   check ARCHIVE"
	@echo "make compare A=... B=...: two results folders or archives side by side, into OUT"
	@echo "make publish RESULTS=... NAME=...: a finished run as docs/results/NAME, with its page"
	@echo "make test    run the tests                            make test-slurm   those that start a SLURM"
	@echo "make bench   time the hot paths against plain reference code, after make run"
	@echo "make gpu-check GPU_OUT=... MINUTES=9.5: tests, benchmarks, a column and the plan on a GPU"
	@echo "make env     create .venv; then plain snakemake works: source .venv/bin/activate"
	@echo "make dev     the same with pytest and what the tests need: for authors of plug-ins"
	@echo "make lint    ruff, snakefmt and snakemake --lint      make format   apply their fixes"
	@echo "make docs    build the documentation into site/, offline; a warning is an error"
	@echo "make lock    resolve the lock files anew              make schema   write the config schema"
	@echo "make clean   remove RESULTS (those of the default grid) and caches; .venv stays"

# Progress in a line where there is a terminal, a line per job where there is none. With exec a signal
# to make reaches Snakemake, and not a shell around it.
run: env
	@exec $(BIN)/snakemake --logger remibench
	@if [ ! -e $(RESULTS)/report.html ] || [ -n "$$(find $(RESULTS)/*.* \
	    $(addprefix $(RESULTS)/,tables figures overview scorecard statistics) workflow/report \
	    -newer $(RESULTS)/report.html -print -quit)" ]; then \
	    $(BIN)/snakemake --report $(RESULTS)/.report.html && \
	    mv $(RESULTS)/.report.html $(RESULTS)/report.html; fi
	@printf '\n%s\n' "$$(cat $(RESULTS)/summary.txt)"
	@printf '\nTables:  %s\nFigures: %s\nReport:  %s\n' \
	    $(RESULTS)/tables $(RESULTS)/figures $(RESULTS)/report.html

plan: .venv/.run
	@$(BIN)/remibench plan $(CONFIG)

# What is shared: docs/sharing.md. A slash at the end of a folder's name is no part of it.
TREE = $(patsubst %/,%,$(RESULTS))
ARCHIVE ?= $(TREE).zip
OUT ?= comparison
export: .venv/.run
	@$(BIN)/remibench export $(TREE) $(ARCHIVE)$(if $(CHECKPOINTS), --checkpoints)

verify: .venv/.run
	@$(BIN)/remibench verify $(ARCHIVE)

compare: .venv/.run
	@$(BIN)/remibench compare $(A) $(B) --output $(OUT)

publish: .venv/.run
	@$(BIN)/remibench publish $(TREE) docs/results/$(NAME) $(addprefix --plugins=,$(PLUGINS))

env: .venv/.run

dev: .venv/.dev

.venv/.run: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "remibench needs Python 3.11+")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --requirement requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	$(BIN)/python -m pip install --requirement requirements-dev.lock
	@touch $@

# Files go to the processes whole: what a file's tests share is made once. In the order of collection,
# which begins with the longest (tests/conftest.py).
test: .venv/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-slurm: .venv/.dev
	$(BIN)/python -m pytest -m slurm tests/slurm

bench: .venv/.run
	$(BIN)/python -m benchmarks > $(RESULTS)/benchmarks/hot_paths.md
	@cat $(RESULTS)/benchmarks/hot_paths.md

# On a machine that reaches no registry: WHEELS=folder, of wheels for its Python, and no .venv.
MINUTES ?= 9.5
GPU_OUT ?= gpu-check
gpu-check: $(if $(WHEELS),,.venv/.dev)
	$(if $(WHEELS),$(PYTHON),$(BIN)/python) -m benchmarks.gpu_check --out $(GPU_OUT) \
	    --minutes $(MINUTES) $(if $(WHEELS),--wheels $(WHEELS)) $(GPU_CHECK)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# The second line: what is built asks nobody else for a font, script or image.
docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@! grep --recursive --extended-regexp --include='*.html' --include='*.css' \
	    '(src="|url\(|<link[^>]* href=")https?:' site

# Needs uv on the PATH. The lock files hold for every platform and Python 3.11+.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
    --no-emit-index-url pyproject.toml
lock:
	$(LOCK) --output-file requirements-dev.lock --extra dev --extra docs
	$(LOCK) --output-file requirements.lock --constraint requirements-dev.lock

schema: .venv/.run
	$(BIN)/remibench schema > workflow/schemas/config.schema.json

clean:
	rm -rf $(RESULTS) site .pytest_cache .ruff_cache build *.egg-info
