# The commands that people type. Each one first makes its environment, when the list of its packages is newer.
# Reading takes 46 packages (235 MB), proving 145 (960 MB): hence two.
PYTHON ?= python3
BIN := .venv/bin
READ := .venv-read/bin
NEWEST := .venv-newest/bin
PYTEST := $(BIN)/pytest -n 4
PROVED := tests/test_examples.py $(filter-out tests/site/ tests/e2e/,$(wildcard tests/*/))
SHOWN := README.md tests/site $(filter-out $(PROVED),$(wildcard tests/test_*.py))
export NO_MKDOCS_2_WARNING = 1

.PHONY: serve rule quick server starter test record mutate compat newest zensical site offline links bench tour lint lock

serve: .venv-read/installed ## read the site at http://127.0.0.1:8000, reloaded on every change; without the reference
	PUBLISH=false PREVIEW=overrides/preview.md $(READ)/mkdocs serve

rule: .venv/installed      ## prove one rule: make rule NAME=retry-tasks-not-flows; RECORD=--record rewrites what it records
	$(BIN)/pytest --rule=$(NAME) $(if $(SERVER),--api-url=$(SERVER)) $(RECORD) $(PROVED)
	$(BIN)/python -m tests.mutate --limit=60 $(NAME)
	$(BIN)/pytest --rule=$(NAME) $(RECORD) $(SHOWN)

quick: .venv/installed     ## prove the rules that differ from the main branch, or everything if more than rules differs
	$(PYTEST) --changed $(RECORD)

server: .venv/installed    ## start a Prefect server for `make rule`, and print how to name it there
	$(BIN)/python -m tests.backend

starter: .venv/installed   ## prove the starter: its zip, its days, its faults and its containers
	$(PYTEST) tests/e2e

test: .venv/installed      ## prove every line of it
	$(PYTEST)

record: .venv/installed    ## rewrite outputs, tables, lists and proofs from what the programs and pages say now
	$(PYTEST) --record $(PROVED)
	$(PYTEST) --record $(SHOWN)

mutate: .venv/installed    ## make each right side wrong, one change at a time, and ask whether a test notices; NAME=... for one rule
	$(BIN)/python -m tests.mutate $(NAME)

compat: .venv/installed    ## prove the rules on the last releases of older Prefects; goes on where it was; NAME=... for one rule
	$(BIN)/python -m tests.compat $(NAME)

# pip first takes Prefect alone, so that nothing of ours bounds what comes with it.
newest:                    ## prove the rules, not the pages, on what `pip install prefect` brings today; NAME=... for one rule
	$(PYTHON) -m venv --clear .venv-newest
	$(NEWEST)/pip install --quiet prefect
	$(NEWEST)/pip freeze > .venv-newest/came
	sed '/^prefect==/d' requirements.in | $(NEWEST)/pip install --quiet --constraint .venv-newest/came --requirement /dev/stdin
	@echo "newest $$(sed -n 's/^prefect==//p' .venv-newest/came), pinned $$(sed -n 's/^prefect==\([^ ]*\).*/\1/p' requirements.in)"
	$(NEWEST)/pytest -n 4 $(if $(NAME),--rule=$(NAME)) $(PROVED)

# Zensical is what Material's makers build in its place. It writes into site/, where mkdocs.yml says.
zensical: .venv/installed  ## build the site with Zensical, and look there for every address of the ledger
	$(PYTHON) -m venv --clear .venv-zensical
	.venv-zensical/bin/pip install --quiet --no-deps --requirement requirements-read.txt
	.venv-zensical/bin/pip install --quiet zensical
	rm -rf site
	.venv-zensical/bin/zensical build --clean
	@.venv-zensical/bin/pip freeze | grep '^zensical=='
	$(BIN)/python -m tests.site.checks site

site: .venv-read/installed ## build the site into site/
	$(READ)/mkdocs build --strict

offline: .venv-read/installed ## build a zip that is read from a disk, without a server
	OFFLINE=true $(READ)/mkdocs build --strict --site-dir .venv-read/prefect-best-practices
	cd .venv-read && $(abspath $(READ))/python -m zipfile -c ../prefect-best-practices.zip prefect-best-practices

links: site .venv/installed ## ask every linked page of other sites whether it still lives
	$(BIN)/lychee --no-progress --root-dir=$(CURDIR)/site site

bench: .venv/installed     ## what pages weigh and score; PEERS="starlight vitepress material" for others beside them
	$(BIN)/python -m tests.site.bench $(PEERS)

tour: .venv/installed      ## photograph the dashboard of the pinned Prefect anew, for the page that leads through it
	$(BIN)/python -m tests.tour

lint: .venv/installed      ## format and lint the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# pip before 23.3 forgets a pin when another package asks for the same project with extras,
# unless the lock names it with its extras too: hence the second line.
# What reading takes is the site's part of requirements.in at the same pins, and of Prefect only its own files,
# which the reference is made from: hence --no-deps below, where that trap of pip does not exist.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
lock: .venv/installed      ## renew requirements.txt and requirements-read.txt from requirements.in
	$(BIN)/$(LOCK) requirements.in --upgrade --output-file requirements.txt
	$(BIN)/$(LOCK) requirements.in --no-strip-extras | awk '/^[^ ]/ { extras = /\[/ } extras' >> requirements.txt
	awk '/^# The site/, /^# The proof/' requirements.in | $(BIN)/$(LOCK) --no-annotate -c requirements.txt - > requirements-read.txt
	awk '/^[^ ]/ { wanted = /^(prefect|ruff)==/ } wanted && !/#/' requirements.txt >> requirements-read.txt

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

.venv-read/installed: requirements-read.txt
	$(PYTHON) -m venv .venv-read
	$(READ)/pip install --quiet --no-deps --requirement requirements-read.txt
	touch $@
