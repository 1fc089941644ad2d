# The commands of this project. `make` alone lists them. Python 3.11 or newer and make are all they need:
# infrastructure/setup.sh gets uv, and uv the rest, the first time.

PYTHON := .venv/bin/python
LOCAL  := $(PYTHON) -m saas_analytics.stack
READY  := .venv/.synced
SUPERSET_READY := infrastructure/superset/.venv/.synced

.DEFAULT_GOAL := help
.PHONY: help up down demo generate land dbt-build dbt-test trigger backfill kpis docs dashboards status doctor psql env check test test-long test-compose test-dashboards lint bench clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "WAREHOUSE_DB=name works on any of them in that database."

# Only when the lock file is newer than the environment, or another user's Python is in it; silent otherwise.
ifneq ($(shell test -x $(PYTHON) && echo yes),yes)
.PHONY: $(READY)
endif
$(READY): pyproject.toml uv.lock
	@sh infrastructure/setup.sh

# Superset has an environment of its own: it needs another SQLAlchemy than Airflow.
$(SUPERSET_READY): infrastructure/superset/pyproject.toml infrastructure/superset/uv.lock
	@sh infrastructure/setup.sh infrastructure/superset

demo: $(READY)  ## Everything once: stack up, 60 days landed, an Airflow run, the newest KPIs
	@$(LOCAL) demo

up: $(READY)  ## Start the stack, and return when it is healthy
	@$(LOCAL) up

down: $(READY)  ## Stop the stack; the data are kept
	@$(LOCAL) down

status: $(READY)  ## What runs, where, and how much is in it
	@$(LOCAL) status

doctor: $(READY)  ## Check this machine and this stack; each finding with its mend
	@$(LOCAL) doctor

generate: $(READY)  ## Write the synthetic company's files: [DAY=2026-01-05] [DAYS=7]
	@$(LOCAL) generate $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

land: $(READY)  ## Land the files of some days: [DAY=2026-01-05] [DAYS=7]
	@$(LOCAL) land $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

dbt-build: $(READY)  ## Build and test every model
	@$(LOCAL) dbt-build

dbt-test: $(READY)  ## Test the models as they are
	@$(LOCAL) dbt-test

trigger: $(READY)  ## Run the pipeline in Airflow for a day, and wait: [DAY=2026-01-05]
	@$(LOCAL) trigger $(if $(DAY),--day "$(DAY)")

backfill: $(READY)  ## Run the pipeline in Airflow for many days, and wait: FROM=2026-01-01 [TO=2026-01-07]
	@$(if $(FROM),,$(error make backfill needs FROM=YYYY-MM-DD, the first day; TO is the last, by default yesterday))\
	$(LOCAL) backfill --from "$(FROM)" $(if $(TO),--to "$(TO)")

kpis: $(READY)  ## The newest key figures, with sparklines
	@$(LOCAL) kpis

docs: $(READY)  ## Build the documentation site, and say where it is served
	@$(LOCAL) docs

dashboards: $(READY)  ## Start the dashboards (Superset) beside the stack, and say where they are
	@$(LOCAL) dashboards

psql: $(READY)  ## A session in the warehouse as its owner: [SQL="select 1"]
	@$(LOCAL) psql

env: $(READY)  ## Addresses and credentials for a shell: eval "$(make -s env)"
	@$(LOCAL) env

# In processes side by side; `CHECKED` are the tests that need no more than one PostgreSQL.
PYTEST  := $(PYTHON) -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder
CHECKED := tests/unit tests/integration --ignore=tests/integration/test_local_stack.py

check: $(READY)  ## The quick tests, in three minutes: [ARGS="-k landing"]
	@$(PYTEST) $(CHECKED) $(ARGS)

test: $(READY)  ## The tests of a commit: [ARGS="-k landing"]
	@$(PYTEST) $(ARGS)

test-long: $(READY)  ## All tests, the long ones too, as every night: hours [ARGS="-k histories"] [HISTORIES=40]
	@LONG=1 $(PYTEST) $(ARGS)

test-compose: $(READY)  ## The tests of the stack in containers; needs a Docker engine
	@COMPOSE=1 $(PYTHON) -m pytest tests/compose $(ARGS)

test-dashboards: $(READY) $(SUPERSET_READY)  ## The tests of the dashboards, on a Superset of their own
	@DASHBOARDS=1 $(PYTHON) -m pytest tests/superset $(ARGS)

lint: $(READY)  ## All checkers
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash .ci/lint

bench: $(READY) $(if $(or $(findstring dashboards,$(ARGS)),$(if $(ARGS),,all)),$(SUPERSET_READY))  ## Measure
	@sh infrastructure/setup.sh . --group bench
	@$(PYTHON) -m tests.bench $(ARGS); ended=$$?; sh infrastructure/setup.sh; exit $$ended

clean: $(READY)  ## Remove the data and everything made: [YES=1]
	@$(LOCAL) clean $(if $(YES),--yes)
