# A fresh machine needs Python 3.11 or newer, git and make. Everything is installed into .venv, nothing elsewhere.
#   make run     the whole workflow, ending in reports/index.html
#   make test    the tests; .ci/run adds DVC and conda from end to end
#   make check   format, lint, types and the fast tests
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: run test check

run: $(READY)
	$(IN_VENV) snakemake --cores all

test: $(READY)
	$(IN_VENV) python -m pytest -n 2 --dist loadfile -m "not extra"

check: $(READY)
	$(IN_VENV) workflow/check

$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement envs/requirements.txt
	touch $@
