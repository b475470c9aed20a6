# No root, no Docker: everything goes into .venv. Paths are relative, so that a space in one does no harm.
SHELL := /bin/sh
PY := .venv/bin/python
# Stamps say what .venv holds; a changed pyproject.toml installs again.
CREATED := .venv/.created
DEMO := .venv/.demo
TEST := .venv/.test
BENCH := .venv/.bench
# Of pytest, each with servers of its own. Tests wait more than they compute.
PROCESSES := 4

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Whoever forbids bytecode pays for it with each pytest: its asserts would be rewritten anew.
export PYTHONDONTWRITEBYTECODE =

# What takes long and is the same with every database: looked at with PostgreSQL alone.
ONCE := tests/acceptance/browser tests/acceptance/handlers tests/acceptance/test_alerts.py \
	tests/acceptance/test_openapi.py
# What no database has to do with: looked at with SQLite alone.
APART := tests/integration/handlers/files

# Bounded by threads of ours, whichever database it is that hangs: looked at with the others.
BOUNDED := tests/integration/api/test_worlds.py

# What has tests that follow one by one: no other file need be read for them.
ALONE := $(shell grep -rl 'mark\.alone' tests --include='test_*.py')

.PHONY: venv demo test test-mariadb lint unit bench clean

venv: $(CREATED)

# Without a Redis on PATH a Python for which a package carries one goes first.
$(CREATED):
	@if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; \
	then names="python3 python3.14 python3.13 python3.12 python3.11"; \
	else names="python3.12 python3.11 python3 python3.13 python3.14"; fi; \
	for python in $(PYTHON) $$names; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then echo "creating .venv with $$("$$python" --version)"; \
	    "$$python" -m venv --clear .venv && touch $@ && exit 0; fi; \
	done; \
	echo "No Python >= 3.11 with venv found. Install one (python3 and python3-venv), or: make PYTHON=/path/to/python" >&2; \
	exit 1

$(DEMO): $(CREATED) pyproject.toml
	@echo "installing what the demo needs"
	@$(PY) -m pip install --quiet --editable '.[demo]'
	@touch $@

$(TEST): $(CREATED) pyproject.toml
	@echo "installing what the tests need"
	@$(PY) -m pip install --quiet --editable '.[demo,lint,test]'
	@touch $@ $(DEMO)

$(BENCH): $(TEST)
	@echo "installing other queues, to measure ours beside them"
	@$(PY) -m pip install --quiet --editable '.[bench]'
	@touch $@

demo: $(DEMO)
	@$(PY) manage.py demo

lint: $(TEST)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run

# With one database: side by side, then one by one what measures a time. The third are its files.
define run_tests
DRQ_TEST_DB=$(1) $(PY) -m pytest -m 'not alone' --numprocesses $(PROCESSES) --dist worksteal $(2)
DRQ_TEST_DB=$(1) $(PY) -m pytest -m alone $(3)
endef

test: lint
	$(call run_tests,sqlite,$(ONCE:%=--ignore=%),$(ALONE))
	$(call run_tests,postgres,tests/integration tests/acceptance --ignore=tests/acceptance/worker --ignore=$(APART),$(filter tests/integration/% tests/acceptance/test_%,$(ALONE)))
	@if command -v mariadbd >/dev/null || test -x /usr/sbin/mariadbd; \
	then $(MAKE) --no-print-directory test-mariadb; \
	else echo "MariaDB is not installed: its part is left out"; fi

test-mariadb: $(TEST)
	$(call run_tests,mariadb,tests/integration --ignore=$(APART) $(BOUNDED:%=--ignore=%),$(filter-out $(BOUNDED),$(filter tests/integration/%,$(ALONE))))

bench: $(BENCH)
	@for benchmark in benchmarks/bench_*.py; do echo "== $$benchmark"; $(PY) "$$benchmark" || exit 1; done

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage .coverage.* dist build demo-result.json
