# The commands that people type. Each one first makes the environment, when requirements.txt is newer.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 4
export NO_MKDOCS_2_WARNING = 1

.PHONY: serve test record newest site offline links bench lint lock

serve: .venv/installed     ## read the site at http://127.0.0.1:8000, reloaded on every change
	$(BIN)/mkdocs serve

test: .venv/installed      ## prove every line of it
	$(PYTEST)

record: .venv/installed    ## rewrite outputs, lists and proofs from what the programs and pages say now
	$(PYTEST) --record

newest: .venv/installed    ## prove the rules, not the pages, on the newest Prefect that exists
	$(BIN)/pip install --quiet --upgrade prefect
	$(PYTEST) tests/test_examples.py tests/*/

site: .venv/installed      ## build the site into site/
	$(BIN)/mkdocs build --strict

offline: .venv/installed   ## build a zip that is read from a disk, without a server
	OFFLINE=true $(BIN)/mkdocs build --strict --site-dir .venv/prefect-best-practices
	cd .venv && $(abspath $(BIN))/python -m zipfile -c ../prefect-best-practices.zip prefect-best-practices

links: site                ## ask every linked page of other sites whether it still lives
	$(BIN)/lychee --no-progress --root-dir=$(CURDIR)/site site

bench: .venv/installed     ## what a page weighs and scores; how long a build and each program take
	$(BIN)/python -m tests.site.bench $(PEERS)

lint: .venv/installed      ## format and lint the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# pip before 23.3 forgets a pin when another package asks for the same project with extras,
# unless the lock names it with its extras too: hence the second line.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header requirements.in
lock: .venv/installed      ## renew requirements.txt from requirements.in
	$(BIN)/$(LOCK) --upgrade --output-file requirements.txt
	$(BIN)/$(LOCK) --no-strip-extras | awk '/^[^ ]/ { extras = /\[/ } extras' >> requirements.txt

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@
