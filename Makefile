# The commands of this project. `make` alone lists them. Python 3.11 or newer and make are all they need:
# infrastructure/setup.sh gets uv, and uv the rest, the first time.

PYTHON    := .venv/bin/python
ANALYTICS := $(PYTHON) -m saas_analytics
READY     := .venv/.synced
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
	@$(ANALYTICS) demo

up: $(READY)  ## Start the stack, and return when it is healthy
	@$(ANALYTICS) up

down: $(READY)  ## Stop the stack; the data are kept
	@$(ANALYTICS) down

status: $(READY)  ## What runs, where, and how much is in it
	@$(ANALYTICS) status

doctor: $(READY)  ## Check this machine and this stack; each finding with its fix
	@$(ANALYTICS) doctor

generate: $(READY)  ## Write the synthetic company's files: [DAY=2026-01-05] [DAYS=7]
	@$(ANALYTICS) generate $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

land: $(READY)  ## Land the files of some days: [DAY=2026-01-05] [DAYS=7]
	@$(ANALYTICS) land $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

dbt-build: $(READY)  ## Build and test every model
	@$(ANALYTICS) dbt-build

dbt-test: $(READY)  ## Test the models as they are
	@$(ANALYTICS) dbt-test

trigger: $(READY)  ## Run the pipeline in Airflow for a day, and wait: [DAY=2026-01-05]
	@$(ANALYTICS) trigger $(if $(DAY),--day "$(DAY)")

backfill: $(READY)  ## Run the pipeline in Airflow for many days, and wait: FROM=2026-01-01 [TO=2026-01-07]
	@$(ANALYTICS) backfill $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

kpis: $(READY)  ## The newest key figures, with sparklines
	@$(ANALYTICS) kpis

docs: $(READY)  ## Build the documentation site, and say where it is served
	@$(ANALYTICS) docs

dashboards: $(READY)  ## Start the dashboards (Superset) next to the stack
	@$(ANALYTICS) dashboards

psql: $(READY)  ## A session in the warehouse as its owner: [SQL="select 1"]
	@$(ANALYTICS) psql

env: $(READY)  ## Addresses and credentials for a shell: eval "$(make -s env)"
	@$(ANALYTICS) env

check: $(READY)  ## The quick tests, in three minutes: [ARGS="-k landing"]
	@$(ANALYTICS) test --quick $(ARGS)

test: $(READY)  ## The tests of a commit: [ARGS="-k landing"]
	@$(ANALYTICS) test $(ARGS)

test-long: $(READY)  ## All tests, the nightly ones too: hours [ARGS="-k histories"] [HISTORIES=40]
	@$(ANALYTICS) test --long $(ARGS)

test-compose: $(READY)  ## The tests of the stack in containers; needs a Docker engine
	@$(ANALYTICS) test --compose $(ARGS)

test-dashboards: $(READY) $(SUPERSET_READY)  ## The tests of the dashboards, on a Superset of their own
	@$(ANALYTICS) test --dashboards $(ARGS)

lint: $(READY)  ## All checkers: [ARGS="ruff mypy"]
	@$(ANALYTICS) lint $(ARGS)

bench: $(READY) $(if $(or $(findstring dashboards,$(ARGS)),$(if $(ARGS),,all)),$(SUPERSET_READY))  ## Measure
	@$(ANALYTICS) bench $(ARGS)

clean: $(READY)  ## Remove the data and everything made: [YES=1]
	@$(ANALYTICS) clean $(if $(YES),--yes)
