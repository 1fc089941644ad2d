# The commands of this project; `make` alone lists them. They need Python 3.11 or newer and make.
# The first one runs infrastructure/setup.sh, which installs uv, and uv installs the rest.

PYTHON    := .venv/bin/python
ANALYTICS := $(PYTHON) -m saas_analytics
READY     := .venv/.synced
SUPERSET_READY := infrastructure/superset/.venv/.synced

.DEFAULT_GOAL := help
.PHONY: help up down demo generate land dbt-build dbt-test trigger backfill kpis docs dashboards
.PHONY: status doctor psql env check test test-long test-compose test-dashboards lint bench clean

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' \
	$(firstword $(MAKEFILE_LIST))
	@echo "WAREHOUSE_DB=name works on any of them in that database."

# Runs only if the lock file is newer than the environment, or if its Python is not usable.
ifneq ($(shell test -x $(PYTHON) && echo yes),yes)
.PHONY: $(READY)
endif
$(READY): pyproject.toml uv.lock
	@sh infrastructure/setup.sh

# Superset has its own environment: it needs another SQLAlchemy than Airflow.
$(SUPERSET_READY): infrastructure/superset/pyproject.toml infrastructure/superset/uv.lock
	@sh infrastructure/setup.sh infrastructure/superset

demo: $(READY)  ## Show everything once: start, land 60 days, run Airflow, print KPIs
	@$(ANALYTICS) demo

up: $(READY)  ## Start the stack, and return when it is healthy
	@$(ANALYTICS) up

down: $(READY)  ## Stop the stack; the data are kept
	@$(ANALYTICS) down

status: $(READY)  ## Show what is running, where, and how much is in the warehouse
	@$(ANALYTICS) status

doctor: $(READY)  ## Check this machine and this stack, with a fix for each finding
	@$(ANALYTICS) doctor

generate: $(READY)  ## Write the synthetic company's files: [DAY=2026-01-05] [DAYS=7]
	@$(ANALYTICS) generate $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

land: $(READY)  ## Land the files of some days: [DAY=2026-01-05] [DAYS=7]
	@$(ANALYTICS) land $(if $(DAY),--day "$(DAY)") $(if $(DAYS),--days "$(DAYS)")

dbt-build: $(READY)  ## Build and test every model
	@$(ANALYTICS) dbt-build

dbt-test: $(READY)  ## Test the models without building them
	@$(ANALYTICS) dbt-test

trigger: $(READY)  ## Run the pipeline in Airflow for a day, and wait: [DAY=2026-01-05]
	@$(ANALYTICS) trigger $(if $(DAY),--day "$(DAY)")

backfill: $(READY)  ## Run the pipeline for many days, and wait: FROM=2026-01-01 [TO=2026-01-07]
	@$(ANALYTICS) backfill $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

kpis: $(READY)  ## Print the newest key figures, with sparklines
	@$(ANALYTICS) kpis

docs: $(READY)  ## Build the documentation site, and print its address
	@$(ANALYTICS) docs

dashboards: $(READY)  ## Start the dashboards (Superset) next to the stack
	@$(ANALYTICS) dashboards

psql: $(READY)  ## Open a session in the warehouse as its owner: [SQL="select 1"]
	@$(ANALYTICS) psql

env: $(READY)  ## Print addresses and credentials for a shell: eval "$(make -s env)"
	@$(ANALYTICS) env

check: $(READY)  ## Run the quick tests, in three minutes: [ARGS="-k landing"]
	@$(ANALYTICS) test --quick $(ARGS)

test: $(READY)  ## Run the tests of a commit: [ARGS="-k landing"]
	@$(ANALYTICS) test $(ARGS)

test-long: $(READY)  ## Run all tests, for hours: [ARGS="-k exactness"] [HISTORIES=40]
	@$(ANALYTICS) test --long $(ARGS)

test-compose: $(READY)  ## Run the tests of the stack in containers
	@$(ANALYTICS) test --compose $(ARGS)

test-dashboards: $(READY) $(SUPERSET_READY)  ## Run the tests of the dashboards
	@$(ANALYTICS) test --dashboards $(ARGS)

lint: $(READY)  ## Run all checkers: [ARGS="ruff mypy"]
	@$(ANALYTICS) lint $(ARGS)

MEASURES_DASHBOARDS = $(or $(findstring dashboards,$(ARGS)),$(if $(ARGS),,all))
bench: $(READY) $(if $(MEASURES_DASHBOARDS),$(SUPERSET_READY))  ## Measure: [ARGS="landing"]
	@$(ANALYTICS) bench $(ARGS)

clean: $(READY)  ## Remove the data and everything else created: [YES=1]
	@$(ANALYTICS) clean $(if $(YES),--yes)
