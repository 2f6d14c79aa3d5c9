# Each target makes what it needs: a fresh clone with Python 3.11 or newer is enough.
.PHONY: run install test soak e2e lint bench lock
.DEFAULT_GOAL := run

PYTHON ?= python3
# Tests start some hundred processes: each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
# Most tests wait for something: four processes keep two cores busy.
TEST_PROCESSES ?= 4
python := .venv/bin/python
# A finished installation leaves it behind; its name changes with the lock.
stamp := .venv/stamp-$(shell cat requirements-dev.lock | cksum | cut -d' ' -f1)

run: $(stamp) ## Start everything; Ctrl-C stops it
	@exec $(python) manage.py up

install: $(stamp) ## The environment alone, in .venv/

$(stamp):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=/path/to/python make ... names one."; exit 1; }
	@echo "Installing the locked dependencies into .venv/ ..."
	@$(PYTHON) -m venv .venv
	@$(python) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@rm -f .venv/stamp-* && touch $@

test: $(stamp) ## The whole test suite, in as many processes as TEST_PROCESSES says; starts what it needs
	$(python) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

soak: $(stamp) ## The property tests with fifty times as many examples (SOAK says how many times); an hour and more
	SOAK=$${SOAK:-50} $(python) -m pytest -n $(TEST_PROCESSES) -m hypothesis

e2e: $(stamp) ## The browser tests, with Debian's Chromium
	$(python) -m pytest tests/e2e -m e2e

lint: $(stamp) ## Format, lint, types, who imports whom, Django's checks, missing migrations
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	git ls-files '*.html' | xargs -r .venv/bin/djade --target-version 5.2 --check
	$(python) -m mypy apimgr apps tests benchmarks manage.py
	.venv/bin/lint-imports
	$(python) -m deptry .
	$(python) -W error manage.py check
	$(python) manage.py makemigrations --check --dry-run

bench: $(stamp) ## apimgr and its peers side by side, in one run
	$(python) -m benchmarks

lock: ## Resolve the dependencies anew and lock them with hashes
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
