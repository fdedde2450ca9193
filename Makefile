# Two commands need nothing but Python 3.11 or newer, make and the package index:
#   make run    set up and serve on http://127.0.0.1:8000 (PORT=9000 changes it)
#   make test   set up and run all tests (PYTHON=python3.13 VENV=.venv-3.13: with another Python, and its Django)
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
JOBS ?= 4
ARGS ?=
MEASURE ?=
NEWEST = $(firstword $(shell for p in python3.13 ~/.pyenv/versions/3.13*/bin/python3.13; do \
	$$p -c "" 2>/dev/null && echo $$p; done))
IN_NEWEST = PYTHON=$(NEWEST) VENV=.venv-newest

.PHONY: run test coverage newest newest-ready soak bench check audit lock clean

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: $(VENV)/.run
	@mkdir -p -m 700 data
	@umask 077; HTTPS_ONLY=0 $(BIN)/python manage.py migrate --verbosity 0
	@HTTPS_ONLY=0 $(BIN)/python manage.py first_admin --address http://127.0.0.1:$(PORT)/
	@echo "Serving on http://127.0.0.1:$(PORT)/ (Ctrl+C stops)"
	@umask 077; HTTPS_ONLY=0 exec $(BIN)/daphne -v 0 -b 127.0.0.1 -p $(PORT) chatsite.asgi:application

test: $(VENV)/.dev
	@if [ -f tests/js/package-lock.json ] && command -v npm >/dev/null; then \
		cd tests/js && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent --no-audit --no-fund; }; fi
	$(BIN)/python $(MEASURE) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

# After `make test MEASURE="-m coverage run"`: which lines and branches no test has reached, in any process.
coverage: $(VENV)/.dev
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# What another Python, and the Django it gets, would break first: commands, ledger, pages, API, and private API of others.
newest: newest-ready
	$(if $(NEWEST),$(MAKE) test $(IN_NEWEST) \
		ARGS="tests/commands tests/admin tests/test_ledger.py tests/test_api.py tests/test_recovery.py \
			tests/test_prepared_queries.py tests/test_private_api.py tests/test_request_threads.py \
			tests/test_broken_responses.py tests/test_provider_public_api.py tests/test_headers.py")

newest-ready:
	$(if $(NEWEST),$(MAKE) .venv-newest/.dev $(IN_NEWEST))

# The tests that draw at random, for as long as it takes.
soak: $(VENV)/.dev
	SOAK=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --timeout 7200 $(ARGS) $$(grep -l SOAK tests/*.py)

# This site beside a Next.js app, in turns; needs two cores, and npm for the peers. About twenty minutes.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.relay $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	HTTPS_ONLY=0 $(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY=check-only-0123456789-0123456789-0123456789-abcdefghij HTTPS_ONLY=1 ALLOWED_HOSTS=chat.example.org \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

# Known vulnerabilities of what is installed; asks the network.
audit: $(VENV)/.dev
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --requirement requirements.txt --disable-pip --require-hashes

lock: $(VENV)/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf $(VENV) staticfiles .coverage .pytest_cache .mypy_cache .ruff_cache
